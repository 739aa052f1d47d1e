"""The encoders of a build: a model on each device, or servers. Each batch goes to whichever is free."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from qttrag.encoders.openai import OpenAIKind
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.errors import ConfigError, not_installed, unknown
from qttrag.indexes.recipe import EncoderSettings
from qttrag.protocols import Encoder, PassageEncoder, QueryEncoder
from qttrag.types import Prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OpenEncoder = Callable[[EncoderSettings], Encoder]
_KINDS: dict[str, Callable[..., Encoder]] = {
    "openai": OpenAIKind,
    "sentence_transformers": SentenceTransformersKind,
}


class EncoderPool:
    """Encoders of one model; each entry of `encoders` takes one batch at a time. Use with `with`.

    `max_batch`: the most texts per batch, or None."""

    def __init__(self, encoders: Sequence[PassageEncoder], *, max_batch: int | None = None) -> None:
        self.info = encoders[0].info
        self.tokenise, self.prepare = encoders[0].tokenise, encoders[0].prepare
        self.max_batch = max_batch
        self._free: queue.SimpleQueue[PassageEncoder] = queue.SimpleQueue()
        for encoder in encoders:
            self._free.put(encoder)
        self._executor = ThreadPoolExecutor(len(encoders), thread_name_prefix="qttrag-encode")

    def submit(self, prepared: Prepared) -> Future[NDArray[np.float32]]:
        """Start encoding a batch; the future holds its vectors or the error."""
        return self._executor.submit(self._encode, prepared)

    def _encode(self, prepared: Prepared) -> NDArray[np.float32]:
        encoder = self._free.get()
        try:
            return encoder.encode_prepared(prepared)
        finally:
            self._free.put(encoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def open_builtin_encoder(settings: EncoderSettings) -> Encoder:
    """Return the encoder of a recipe if it is of a kind of this package; nothing is loaded.

    `qttrag.application.factory.open_encoder` knows the kinds of other packages too.

    Raises:
        ConfigError: it is of another kind."""
    kind = kind_of(settings)
    if kind not in _KINDS:
        raise ConfigError(unknown("encoder kind", kind, _KINDS))
    return _KINDS[kind](**kind_settings(settings))


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
        return {**common, "base_url": servers.urls, "served_as": servers.model, **placement}
    return {
        **common,
        "device": settings.device,
        "dtype": settings.dtype,
        "batch_tokens": settings.batch_tokens,
    }


def load_passage_encoders(
    settings: EncoderSettings, *, owner: str, open_encoder: OpenEncoder = open_builtin_encoder
) -> EncoderPool:
    """Return the encoders that a recipe's settings describe. `owner`: what needs them, for messages.

    Raises:
        ConfigError: a model cannot be loaded, or a library is not installed. StageError: a server is unavailable."""
    encoder = open_encoder(settings)
    try:
        return EncoderPool(encoder.load_for_passages(), max_batch=encoder.batch_texts)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error


def load_question_encoder(
    settings: EncoderSettings, *, owner: str, open_encoder: OpenEncoder = open_builtin_encoder
) -> QueryEncoder:
    """Return the encoder for questions to a recipe's index; `servers:` without `kind:` are for passages only.

    Raises:
        ConfigError: the model cannot be loaded, or a library is not installed."""
    if settings.kind is None:
        settings = settings.model_copy(update={"kind": "sentence_transformers"})
    try:
        return open_encoder(settings).load()
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error
