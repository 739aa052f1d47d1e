"""The encoders of a build: a model on each device, or servers. Each batch goes to whichever is free."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from qttrag.encoders import m3_encoder
from qttrag.encoders.m3_encoder import M3Encoder
from qttrag.errors import ConfigError, not_installed
from qttrag.indexes.recipe import EncoderSettings, Recipe, Servers
from qttrag.protocols import Encoder, PassageEncoder, QueryEncoder
from qttrag.types import Prepared, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OpenEncoder = Callable[[EncoderSettings], Encoder]
"""Returns the encoder that a recipe describes; `application.factory.open_encoder` knows the kinds of all packages."""


class Encoded(NamedTuple):
    """The vectors of a batch, and the weights of its tokens, if they are stored."""

    vectors: NDArray[np.float32]
    weights: TokenWeights | None


class EncoderPool:
    """Encoders of one model; each entry of `encoders` takes one batch at a time. Use with `with`.

    `max_batch`: the most texts per batch, or None. `sparse`: weights of tokens are wanted, too.

    Raises:
        ConfigError: the encoders give no weights of tokens."""

    def __init__(
        self, encoders: Sequence[PassageEncoder], *, max_batch: int | None = None, sparse: bool = False
    ) -> None:
        if sparse:
            m3_encoder.require(encoders[0], encoders[0].info.model, "sparse_linear")
        self.sparse = sparse
        self.info = encoders[0].info
        self.tokenise, self.prepare = encoders[0].tokenise, encoders[0].prepare
        self.max_batch = max_batch
        self._free: queue.SimpleQueue[PassageEncoder] = queue.SimpleQueue()
        for encoder in encoders:
            self._free.put(encoder)
        self._executor = ThreadPoolExecutor(len(encoders), thread_name_prefix="qttrag-encode")

    def submit(self, prepared: Prepared) -> Future[Encoded]:
        """Start encoding a batch; the future holds what it gives, or the error."""
        return self._executor.submit(self._encode, prepared)

    def _encode(self, prepared: Prepared) -> Encoded:
        encoder = self._free.get()
        try:
            if self.sparse and isinstance(encoder, M3Encoder):
                return Encoded(*encoder.encode_prepared_and_weigh(prepared))
            return Encoded(encoder.encode_prepared(prepared), None)
        finally:
            self._free.put(encoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def kind_of(settings: EncoderSettings) -> str:
    """Return the encoder kind of a recipe."""
    return settings.kind or ("openai" if settings.servers.urls else "sentence_transformers")


def kind_settings(settings: EncoderSettings) -> dict[str, Any]:
    """Return a recipe's settings as its kind names them: those of servers for `openai`, else those of a model."""
    servers = settings.servers
    names = ("model", "revision", "max_tokens", "truncate_dim")
    common = {name: getattr(settings, name) for name in names}
    if kind_of(settings) == "openai":
        placement = servers.model_dump(include={"api_key_env", "batch", "in_flight", "timeout", "retries"})
        fields = {name: getattr(settings, name) or None for name in ("query_fields", "passage_fields")}
        return {**common, **fields, "base_url": servers.urls, "served_as": servers.model, **placement}
    return {
        **common,
        "device": settings.device,
        "dtype": settings.dtype,
        "batch_tokens": settings.batch_tokens,
    }


def load_passage_encoders(recipe: Recipe, *, owner: str, open_encoder: OpenEncoder) -> EncoderPool:
    """Return the encoders that a recipe describes. `owner`: what needs them, for messages.

    Raises:
        ConfigError: a model cannot be loaded, or a library is not installed. StageError: a server is unavailable."""
    encoder = open_encoder(recipe.encoder)
    try:
        return EncoderPool(encoder.load_for_passages(), max_batch=encoder.batch_texts, sparse=recipe.sparse)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error


def question_settings(settings: EncoderSettings, *, in_process: bool) -> EncoderSettings:
    """Return the settings of the encoder for questions to a recipe's index. `in_process`: without its `servers:`."""
    if in_process and settings.servers.urls:
        return settings.model_copy(update={"kind": "sentence_transformers", "servers": Servers()})
    return settings


def load_question_encoder(settings: EncoderSettings, *, owner: str, open_encoder: OpenEncoder) -> QueryEncoder:
    """Return the encoder for questions to a recipe's index, behind the same `servers:` as that of the passages.

    Raises:
        ConfigError: the model cannot be loaded, or a library is not installed. StageError: a server is unavailable."""
    try:
        return open_encoder(settings).load()
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error
