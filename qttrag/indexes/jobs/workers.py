"""The encoders of a build: a model on each device, or servers. Each batch goes to whichever is free."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from qttrag.errors import ConfigError, not_installed
from qttrag.indexes.recipe import EncoderSettings
from qttrag.models import devices
from qttrag.types import EncoderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders.sentence_transformers import Encoder, Prepared, Tokens


class BatchEncoder(Protocol):
    """Encodes batches of texts that were tokenised and prepared beforehand, in another thread."""

    @property
    def info(self) -> EncoderInfo: ...
    def tokenise(self, texts: Sequence[str]) -> list[Tokens]: ...
    def prepare(self, tokens: Sequence[Tokens]) -> Prepared: ...
    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]: ...


class EncoderPool:
    """Encoders of one model; each entry of `encoders` takes one batch at a time. Use with `with`.

    `max_batch`: the most texts per batch, or None."""

    def __init__(self, encoders: Sequence[BatchEncoder], *, max_batch: int | None = None) -> None:
        self.info = encoders[0].info
        self.tokenise, self.prepare = encoders[0].tokenise, encoders[0].prepare
        self.max_batch = max_batch
        self._free: queue.SimpleQueue[BatchEncoder] = queue.SimpleQueue()
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


def load_passage_encoders(settings: EncoderSettings, *, owner: str) -> EncoderPool:
    """Return the encoders that a recipe's settings describe. `owner`: what needs them, for messages.

    Raises:
        ConfigError: a model cannot be loaded, or a library is not installed. StageError: a server is unavailable."""
    try:
        return _served(settings) if settings.servers.urls else _in_process(settings)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error


def load_question_encoder(settings: EncoderSettings, *, owner: str) -> Encoder:
    """Return the encoder for questions to a recipe's index: in process, on one device.

    Raises:
        ConfigError: the model cannot be loaded, or a library is not installed."""
    try:
        return _load(settings, settings.device if isinstance(settings.device, str) else settings.device[0])
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(owner, error)) from error


def _in_process(settings: EncoderSettings) -> EncoderPool:
    return EncoderPool([_load(settings, device) for device in devices.every(settings.device)])


def _load(settings: EncoderSettings, device: str) -> Encoder:
    from qttrag.encoders.sentence_transformers import Encoder

    return Encoder(
        settings.model,
        revision=settings.revision,
        device=device,
        max_tokens=settings.max_tokens,
        dtype=settings.dtype,
    )


def _served(settings: EncoderSettings) -> EncoderPool:
    from qttrag.encoders.openai import OpenAIEncoder

    servers = settings.servers
    encoder = OpenAIEncoder(
        settings.model,
        revision=settings.revision,
        max_tokens=settings.max_tokens,
        urls=servers.urls,
        served_as=servers.model,
        api_key_env=servers.api_key_env,
        timeout=servers.timeout,
        retries=servers.retries,
        in_flight=servers.in_flight,
    )
    return EncoderPool([encoder] * (servers.in_flight * len(servers.urls)), max_batch=servers.batch)
