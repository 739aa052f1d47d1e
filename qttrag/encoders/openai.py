"""Encoders behind OpenAI-compatible servers with `/v1/embeddings`: vLLM, TEI and others."""

from __future__ import annotations

import base64
import math
import weakref
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from qttrag.encoders.sentence_transformers import tokenised
from qttrag.errors import ConfigError, not_installed
from qttrag.models.loading import locate
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import Request
from qttrag.openai_client.client import ModelClient
from qttrag.openai_client.endpoint import CallLimits, Endpoint, Remedies
from qttrag.runtime.background_loop import BackgroundLoop
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    import openai
    from numpy.typing import NDArray

_STAGE = "retriever"
_CONNECT_TIMEOUT_S = 5.0
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
        in_flight: int = 8,
        remedies: Remedies = _RECIPE,
    ) -> None:
        """Load the tokenizer and request a vector from every server. `in_flight`: requests at once to each.

        Raises:
            ConfigError: there is no such tokenizer, or the servers' vectors differ in size.
            StageError: a server rejects the request or cannot be reached."""
        try:
            import openai  # noqa: F401
            from transformers import AutoTokenizer
        except ModuleNotFoundError as error:
            raise ConfigError(not_installed("an encoder behind servers", error)) from error
        located = locate(_STAGE, model, revision=revision, model_types=(), weights=False)
        self.revision = located.revision
        self.max_tokens = max_tokens
        self._tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
        limits = CallLimits(_CONNECT_TIMEOUT_S, timeout, None, _patience(retries), retries)
        base_urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        endpoint = Endpoint(_STAGE, served_as or model, base_urls, api_key_env, in_flight, limits, remedies)
        self._loop = BackgroundLoop("qttrag-embeddings")
        self._client = self._loop.run(_connect(endpoint))
        weakref.finalize(self, self._loop.close, self._client.close)
        self.dim = self._common_size()
        self.info = EncoderInfo(model, self.revision, self.dim, max_tokens)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `max_tokens`."""
        return tokenised(self._tokenizer, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        return Prepared({"texts": [text.text for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim). If one server fails, another is tried.

        Raises:
            StageError: a server rejects the request, or none replies."""
        return self._loop.run(self._embed(prepared.features["texts"]))

    def _common_size(self) -> int:
        servers = self._client.servers
        vectors = {server.base_url: self._loop.run(self._embed(["."], only=server)) for server in servers}
        sizes = {base_url: int(vector.shape[1]) for base_url, vector in vectors.items()}
        if len(set(sizes.values())) > 1:
            raise ConfigError(f"{_STAGE}: the servers have vectors of different sizes ({sizes}); serve one model")
        return next(iter(sizes.values()))

    async def _embed(self, texts: list[str], *, only: Server | None = None) -> NDArray[np.float32]:
        request = {"model": self._client.endpoint.model, "input": texts, "encoding_format": "base64"}
        async with self._client.call(request, _vectors, only=only) as call:
            return call.reply


async def _connect(endpoint: Endpoint) -> ModelClient:
    return ModelClient(endpoint)


async def _vectors(client: openai.AsyncOpenAI, request: Request, held: AsyncExitStack) -> NDArray[np.float32]:
    reply = await client.embeddings.create(**request)
    in_order = sorted(reply.data, key=lambda embedding: embedding.index)
    return _unit([embedding.embedding for embedding in in_order], len(request["input"]))


def _patience(retries: int) -> float:
    """Return the seconds that so many retries with doubled pauses take."""
    return math.fsum(min(_FIRST_PAUSE_S * 2.0**n, _LONGEST_PAUSE_S) for n in range(retries))


def _unit(embeddings: Sequence[Any], n: int) -> NDArray[np.float32]:
    """Return the embeddings of a reply, in base64 or as lists of numbers, as unit vectors.

    Raises:
        ValueError: the number of vectors is not `n`, their sizes differ, or one is zero or not finite."""
    import numpy as np

    if len(embeddings) != n:
        raise ValueError(f"{len(embeddings)} vectors for {n} texts")
    rows = [
        np.frombuffer(base64.b64decode(embedding), "<f4") if isinstance(embedding, str) else np.array(embedding)
        for embedding in embeddings
    ]
    vectors = np.stack(rows).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise ValueError("a vector is zero or not finite")
    unit: NDArray[np.float32] = vectors / norms
    return unit
