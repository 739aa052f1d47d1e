"""The encoder of a build on the workers of a Ray cluster.

Only the encoding is spread. The command that builds reads, cuts and tokenises the source, sends batches to the workers
and writes the shards, as it does without a cluster: batches, shards, journal and resuming are the same, and so are the
files. A worker that dies is started again by Ray, and its batch is encoded again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qttrag.application.factory import open_encoder
from qttrag.distributed.ray_cluster import cause, connected, has_gpus, start_workers
from qttrag.errors import ConfigError, StageUnavailable
from qttrag.indexes.jobs.workers import OpenEncoder
from qttrag.indexes.recipe import EncoderSettings
from qttrag.protocols import PassageEncoder, QueryEncoder
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "encoder"
_RETRIES = 10  # of a batch whose worker died: it may be what kills the worker
_BATCHES = 2  # sent to a worker at once, so that it does not wait for the network between two


@contextmanager
def encoders_on(cluster: str, *, workers: int | None = None) -> Iterator[OpenEncoder]:
    """Connect to a cluster and yield what opens encoders on it.

    `cluster`: "ray", the cluster of $RAY_ADDRESS, of which this machine is a node, or else one on this machine alone.
    `workers`: None: one for each GPU of the cluster, or without GPUs for each processor core.

    Raises:
        InputError: the cluster is another. ConfigError: Ray is not installed, or the cluster cannot be reached."""
    with connected(cluster):
        yield lambda settings: _RayEncoder(settings, workers)


class _RayEncoder:
    """The settings of an encoder, whose passages are encoded by workers."""

    def __init__(self, settings: EncoderSettings, workers: int | None) -> None:
        self._settings = settings
        self._workers = workers
        self._local = open_encoder(settings.model_copy(update={"device": "cpu"}))
        self.batch_tokens = self._local.batch_tokens
        self.batch_texts = self._local.batch_texts

    def load(self) -> QueryEncoder:
        return self._local.load()

    def load_for_passages(self) -> list[PassageEncoder]:
        """Start the workers; return each of them several times, for batches that are sent to it at the same time.

        Raises:
            ConfigError: a worker cannot load the model, or has another one."""
        (tokeniser, *_) = self._local.load_for_passages()
        gpus = has_gpus() and self._settings.device != "cpu"
        settings = self._settings.model_copy(update={"device": "auto" if gpus else "cpu"})  # a worker sees one GPU
        workers = start_workers(
            EncodingWorker,
            settings.model_dump(),
            tokeniser.info.revision,
            count=self._workers,
            gpus=gpus,
            stage=_STAGE,
            retries=_RETRIES,
        )
        return [_RemotePassageEncoder(tokeniser, each) for _ in range(_BATCHES) for each in workers]


class EncodingWorker:
    """Encodes batches on a node of the cluster. `revision`: of the model that its files must have."""

    def __init__(self, settings: dict[str, Any], revision: str) -> None:
        (self._encoder, *_) = open_encoder(EncoderSettings(**settings)).load_for_passages()
        if (found := self._encoder.info.revision) != revision:
            model = settings["model"]
            raise ConfigError(f"'{model}' is revision {found} on a node and {revision} here; copy the same files there")

    def ready(self) -> None:
        """Return when the model is loaded."""

    def encode(self, prepared: Prepared) -> NDArray[np.float32]:
        return self._encoder.encode_prepared(prepared)


class _RemotePassageEncoder:
    """Tokenises here and encodes on a worker."""

    def __init__(self, tokeniser: PassageEncoder, worker: Any) -> None:
        self._tokeniser = tokeniser
        self._worker = worker

    @property
    def info(self) -> EncoderInfo:
        return self._tokeniser.info

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        return self._tokeniser.tokenise(texts)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        return self._tokeniser.prepare(tokens)

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        import ray

        try:
            vectors: NDArray[np.float32] = ray.get(self._worker.encode.remote(prepared))
        except ray.exceptions.RayError as error:
            raise StageUnavailable(_STAGE, f"a worker of the cluster failed: {cause(error)}") from error
        return vectors
