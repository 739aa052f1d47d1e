"""What encodes the passages of a build: a model on each device, or servers. Batches go to whichever is free."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from qttrag.errors import ConfigError, not_installed
from qttrag.indexes.recipe import EncoderSettings
from qttrag.models import devices

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder
    from qttrag.types import Prepared, Tokens


class Maker(Protocol):
    """What vectors are made by: `revision` tells its weights from others; `dim` dimensions; it reads `max_tokens`."""

    @property
    def revision(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...


class Worker(Maker, Protocol):
    """Encodes one batch at a time, or as many as it is given turns for."""

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]: ...
    def prepare(self, tokens: Sequence[Tokens]) -> Prepared: ...
    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]: ...


class Workers:
    """Encoders of one model. `turns`: one for each batch that is encoded at the same time. Use with `with`.

    `max_batch`: texts that a batch may have at most, or None."""

    def __init__(self, turns: Sequence[Worker], *, max_batch: int | None = None) -> None:
        self.revision, self.dim, self.max_tokens = turns[0].revision, turns[0].dim, turns[0].max_tokens
        self.tokenise, self.prepare = turns[0].tokenise, turns[0].prepare
        self.max_batch = max_batch
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for turn in turns:
            self._free.put(turn)
        self._executor = ThreadPoolExecutor(len(turns), thread_name_prefix="qttrag-encode")

    def submit(self, prepared: Prepared) -> Future[NDArray[np.float32]]:
        """Return at once; the result is the vectors of the batch, or what went wrong."""
        return self._executor.submit(self._encode, prepared)

    def _encode(self, prepared: Prepared) -> NDArray[np.float32]:
        worker = self._free.get()
        try:
            return worker.encode_prepared(prepared)
        finally:
            self._free.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def load(settings: EncoderSettings, *, of: str) -> Workers:
    """Return the encoders that a recipe asks for. `of`: what they are of, for messages.

    Raises:
        ConfigError: a model cannot be loaded, or a library is not installed. StageError: a server does not answer."""
    try:
        return _served(settings) if settings.servers.urls else _here(settings)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(of, error)) from error


def of_questions(settings: EncoderSettings, *, of: str) -> SentenceTransformersEncoder:
    """Return the encoder that questions to a recipe's index are encoded by: in process, on one device.

    Raises:
        ConfigError: it cannot be loaded, or a library is not installed."""
    try:
        return _on(settings.device if isinstance(settings.device, str) else settings.device[0], settings)
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(of, error)) from error


def _here(settings: EncoderSettings) -> Workers:
    return Workers([_on(device, settings) for device in devices.every(settings.device)])


def _on(device: str, settings: EncoderSettings) -> SentenceTransformersEncoder:
    from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder

    return SentenceTransformersEncoder(
        settings.model,
        revision=settings.revision,
        device=device,
        max_tokens=settings.max_tokens,
        dtype=settings.dtype,
    )


def _served(settings: EncoderSettings) -> Workers:
    from qttrag.encoders.openai import ServedEncoder

    servers = settings.servers
    encoder = ServedEncoder(
        settings.model,
        revision=settings.revision,
        max_tokens=settings.max_tokens,
        urls=servers.urls,
        served_as=servers.model,
        api_key_env=servers.api_key_env,
        timeout=servers.timeout,
        retries=servers.retries,
    )
    return Workers([encoder] * (servers.in_flight * len(servers.urls)), max_batch=servers.batch)
