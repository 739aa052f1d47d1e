"""Encoders behind OpenAI-compatible servers with `/v1/embeddings`: vLLM, TEI and others."""

from __future__ import annotations

import base64
import logging
import math
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from qttrag.encoders.tokens import dimensions, tokenised
from qttrag.errors import ConfigError, StageUnavailable, not_installed
from qttrag.models.loading import LocatedModel, locate
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import Request
from qttrag.openai_client.client import ModelClient
from qttrag.openai_client.endpoint import CallLimits, Endpoint, Remedies
from qttrag.openai_client.errors import is_timeout
from qttrag.protocols import PassageEncoder, QueryEncoder
from qttrag.runtime.background_loop import BackgroundLoop
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    import openai
    from numpy.typing import NDArray

_STAGE = "retriever"
_CONNECT_TIMEOUT_S = 5.0
_OWN_FIELDS = {"model", "input", "encoding_format"}
_FIRST_TEXTS = 4  # in the first request to a server
_TIMEOUTS = 4  # of one batch, each with fewer texts
_LOG = logging.getLogger(__name__)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0  # between attempts
_RECIPE = Remedies(
    unreachable="start it, or remove it from `servers: {urls: ...}`",
    slow="raise `servers: {timeout: ...}` or check its load",
    overloaded="lower `servers: {in_flight: ...}` or wait",
    failed="lower `servers: {in_flight: ...}` or check its log",
    not_found="correct `servers:`: urls usually end in /v1, and `model:` is the server's own name of the model",
    rejected="if it takes fewer texts or tokens at once, lower `servers: {batch: ...}` or `max_tokens:`",
)
"""What to do, in the settings of a recipe."""
_DEPLOYMENT = Remedies(rejected="if it takes fewer texts or tokens at once, lower `batch:` or `max_tokens:`")


class OpenAIKind:
    """Encoder kind `openai`: one or several servers with `/v1/embeddings` (vLLM, TEI).

    `base_url`: http://host:port/v1, or a list. `served_as`: the servers' name of the model, if it is not `model`, whose
    tokenizer (at `revision`) cuts texts to `max_tokens`. `batch`: texts in a request (TEI takes 32); `in_flight`:
    requests at the same time to each server; `timeout`: seconds; `retries`: each at the next server. `truncate_dim`: as
    in the recipe of the indexes: the first dimensions of each vector are kept; null: all. `query_fields`,
    `passage_fields`: further fields of a request for queries or passages, e.g. {task: retrieval.query} for jina v3."""

    batch_tokens = 1 << 20  # a server makes its own batches

    def __init__(
        self,
        model: str,
        *,
        base_url: str | list[str],
        served_as: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        revision: str | None = None,
        max_tokens: int = 256,
        batch: int = 32,
        in_flight: int = 8,
        timeout: float = 60.0,
        retries: int = 7,
        truncate_dim: int | None = None,
        query_fields: dict[str, Any] | None = None,
        passage_fields: dict[str, Any] | None = None,
    ) -> None:
        _check_fields(query_fields=query_fields or {}, passage_fields=passage_fields or {})
        self._urls = [base_url] if isinstance(base_url, str) else base_url
        if not self._urls or not all(url.startswith(("http://", "https://")) for url in self._urls):
            raise ConfigError(f"encoder kind 'openai': `base_url: {base_url}`: give http://host:port/v1, or a list")
        if batch < 1 or in_flight < 1 or timeout <= 0 or retries < 0:
            raise ConfigError(
                f"encoder kind 'openai': `batch: {batch}` and `in_flight: {in_flight}` must be at least 1, "
                f"`timeout: {timeout:g}` above 0, `retries: {retries}` at least 0"
            )
        self._model = model
        self._served_as = served_as
        self._api_key_env = api_key_env
        self._revision = revision
        self._max_tokens = max_tokens
        self.batch_texts = batch
        self._in_flight = in_flight
        self._timeout = timeout
        self._retries = retries
        self._truncate_dim = truncate_dim
        self._query_fields = query_fields
        self._passage_fields = passage_fields

    def load(self) -> QueryEncoder:
        encoder = self._load(_DEPLOYMENT, self._query_fields)
        requests = self._in_flight * len(self._urls)
        return _ParallelRequests(encoder, ",".join(self._urls), batch=self.batch_texts, requests=requests)

    def load_for_passages(self) -> list[PassageEncoder]:
        encoder = self._load(_RECIPE, self._passage_fields)
        encoder.begin_with_one_request()
        return [encoder] * (self._in_flight * len(self._urls))

    def _load(self, remedies: Remedies, fields: dict[str, Any] | None) -> OpenAIEncoder:
        return OpenAIEncoder(
            self._model,
            revision=self._revision,
            max_tokens=self._max_tokens,
            urls=self._urls,
            served_as=self._served_as,
            api_key_env=self._api_key_env,
            timeout=self._timeout,
            retries=self._retries,
            batch=self.batch_texts,
            in_flight=self._in_flight,
            remedies=remedies,
            truncate_dim=self._truncate_dim,
            fields=fields,
        )


def _check_fields(**settings: Mapping[str, Any]) -> None:
    """Refuse fields that a request has anyway."""
    for name, fields in settings.items():
        if taken := sorted(fields.keys() & _OWN_FIELDS):
            raise ConfigError(
                f"encoder kind 'openai': `{name}: {{{taken[0]}: ...}}`: requests have it anyway; remove it"
            )


class OpenAIEncoder:
    """One encoder behind one or several servers. The tokenizer of `model` is local and cuts texts as the encoder would.

    May be used by several threads at once. `revision` is that of `model`: a server does not report its own."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None,
        max_tokens: int,
        urls: Sequence[str],
        served_as: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 60.0,
        retries: int = 7,
        batch: int = 32,
        in_flight: int = 8,
        remedies: Remedies = _RECIPE,
        truncate_dim: int | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Load the tokenizer and request a vector from every server. `batch`: most texts in a request; `in_flight`:
        requests at once to each; `fields`: further fields of each request.

        Raises:
            ConfigError: there is no such tokenizer, or the servers' vectors differ in size or have fewer than
                `truncate_dim` dimensions.
            StageError: a server rejects the request or cannot be reached."""
        try:
            import openai  # noqa: F401
            from transformers import AutoTokenizer
        except ModuleNotFoundError as error:
            raise ConfigError(not_installed("an encoder behind servers", error)) from error
        located = _locate_tokenizer(model, revision)
        self.revision = located.revision
        self.max_tokens = max_tokens
        self._tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
        limits = CallLimits(_CONNECT_TIMEOUT_S, timeout, None, _patience(retries), retries)
        base_urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        endpoint = Endpoint(_STAGE, served_as or model, base_urls, api_key_env, in_flight, limits, remedies)
        self._size = RequestSize(batch, timeout)
        self._fields = {"extra_body": dict(fields)} if fields else {}
        self._loop = BackgroundLoop("qttrag-embeddings")
        self._client = self._loop.run(_connect(endpoint))
        weakref.finalize(self, self._loop.close, self._client.close)
        self._server_dim = self._common_dim()
        self.dim = dimensions(self._server_dim, truncate_dim, model)
        self.info = EncoderInfo(model, self.revision, self.dim, max_tokens)

    def begin_with_one_request(self) -> None:
        """Send each server one small request at first, and more with each reply, so that a slow one is not flooded."""
        self._size.texts = min(self._size.texts, _FIRST_TEXTS)
        for server in self._client.servers:
            server.concurrency.limit = 1.0

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `max_tokens`."""
        return tokenised(self._tokenizer, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        return Prepared({"texts": [text.text for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim). If one server fails, another is tried.

        A slow server gets fewer texts in a request, so that it replies in time and no text is encoded twice.

        Raises:
            StageError: a server rejects the request, or none replies."""
        import numpy as np

        texts, vectors, timeouts = prepared.features["texts"], list[Any](), 0
        while texts:
            part = texts[: self._size.texts]
            try:
                vectors.append(self._loop.run(self._timed(part)))
            except StageUnavailable as error:
                timeouts += 1
                if not is_timeout(error.__cause__) or timeouts > _TIMEOUTS:
                    raise
                self._size.timed_out(len(part), str(error))
            else:
                texts = texts[len(part) :]
        return np.concatenate(vectors)

    def _common_dim(self) -> int:
        sizes = {server.base_url: self._loop.run(self._probed(server)) for server in self._client.servers}
        if len(set(sizes.values())) > 1:
            raise ConfigError(f"{_STAGE}: the servers have vectors of different sizes ({sizes}); serve one model")
        return next(iter(sizes.values()))

    async def _timed(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of the texts; afterwards, adapt the size and the number of requests to the time taken."""

        async def send(
            client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack
        ) -> tuple[NDArray[np.float32], float]:
            start = time.monotonic()
            vectors = await _vectors(client, request, held)
            if vectors.shape[1] != self._server_dim:  # the server was started again with another model
                raise ValueError(f"vectors of {vectors.shape[1]} dimensions, the first ones had {self._server_dim}")
            return _unit(vectors[:, : self.dim]), time.monotonic() - start

        async with self._client.call(self._request(texts), send) as call:
            vectors, seconds = call.reply
        if self._size.replied(len(texts), seconds):
            call.server.concurrency.shrink(0.5)
        return vectors

    async def _probed(self, server: Server) -> int:
        """Return how many dimensions the vectors of a server have."""
        async with self._client.call(self._request(["."]), _vectors, only=server) as call:
            return int(_unit(call.reply).shape[1])

    def _request(self, texts: list[str]) -> Request:
        return {"model": self._client.endpoint.model, "input": texts, "encoding_format": "base64", **self._fields}


class _ParallelRequests:
    """Queries for servers: a batch is split into requests of `batch` texts, `requests` of them at the same time."""

    def __init__(self, encoder: OpenAIEncoder, device: str, *, batch: int, requests: int) -> None:
        self.device = device
        self.parallel_batches = requests
        self._encoder = encoder
        self._batch = batch
        self._executor = ThreadPoolExecutor(requests, thread_name_prefix="qttrag-encode")
        self._tokenizer = threading.Lock()  # a tokenizer keeps the truncation of its last call

    @property
    def info(self) -> EncoderInfo:
        return self._encoder.info

    def lengths(self, texts: Sequence[str]) -> list[int]:
        with self._tokenizer:
            return [len(tokens.ids) for tokens in self._encoder.tokenise(texts)]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        with self._tokenizer:
            tokens = self._encoder.tokenise(texts)
        batches = [tokens[start : start + self._batch] for start in range(0, len(tokens), self._batch)]
        return np.concatenate(list(self._executor.map(self._encode, batches)))

    def _encode(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        return self._encoder.encode_prepared(self._encoder.prepare(tokens))


class RequestSize:
    """How many texts a request has: fewer while replies take much of the time limit, at most `batch`.

    Several threads may use it. `timeout`: seconds that a server may take."""

    def __init__(self, batch: int, timeout: float) -> None:
        self.texts = batch
        self._batch = batch
        self._timeout = timeout
        self._has_warned = False

    def replied(self, n: int, seconds: float) -> bool:
        """Record a reply to `n` texts; return whether it took so long that fewer requests should be in flight."""
        if seconds < self._timeout / 4:
            self.texts = min(self._batch, max(self.texts, 2 * n))
            return False
        if is_late := seconds > self._timeout / 2:
            self.texts = min(self.texts, max(1, n // 2))
        return is_late

    def timed_out(self, n: int, reason: str) -> None:
        """Record that a request of `n` texts took too long; the first time, say so in a line of the log."""
        self.texts = min(self.texts, max(1, n // 2))
        if not self._has_warned:
            self._has_warned = True
            _LOG.warning("%s; requests have fewer texts from now on", reason)


def _locate_tokenizer(model: str, revision: str | None) -> LocatedModel:
    try:
        return locate(_STAGE, model, revision=revision, model_types=(), weights=False)
    except ConfigError as error:
        reason = str(error).removeprefix(f"{_STAGE}: ")
        raise ConfigError(
            f"encoder '{model}': its tokenizer is not available: {reason}. The servers encode, but this machine cuts "
            "texts to `max_tokens:` as the model does: set `model:` to a folder with the model's config.json and "
            "tokenizer files, without weights; the servers' own name of the model then goes into `served_as:`, in a "
            "recipe into `servers: {model: ...}`"
        ) from error


async def _connect(endpoint: Endpoint) -> ModelClient:
    return ModelClient(endpoint)


async def _vectors(client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack) -> NDArray[np.float32]:
    reply = await client.embeddings.create(**request)
    in_order = sorted(reply.data, key=lambda embedding: embedding.index)
    return _stacked([embedding.embedding for embedding in in_order], len(request["input"]))


def _patience(retries: int) -> float:
    """Return the seconds that so many retries with doubled pauses take."""
    return math.fsum(min(_FIRST_PAUSE_S * 2.0**n, _LONGEST_PAUSE_S) for n in range(retries))


def _stacked(embeddings: Sequence[Any], n: int) -> NDArray[np.float32]:
    """Return the embeddings of a reply, in base64 or as lists of numbers, as the rows of an array.

    Raises:
        ValueError: the number of vectors is not `n`, or their sizes differ."""
    import numpy as np

    if len(embeddings) != n:
        raise ValueError(f"{len(embeddings)} vectors for {n} texts")
    rows = [
        np.frombuffer(base64.b64decode(embedding), "<f4") if isinstance(embedding, str) else np.array(embedding)
        for embedding in embeddings
    ]
    return np.stack(rows).astype(np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit vectors.

    Raises:
        ValueError: a vector is zero or not finite."""
    import numpy as np

    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise ValueError("a vector is zero or not finite")
    unit: NDArray[np.float32] = vectors / norms
    return unit
