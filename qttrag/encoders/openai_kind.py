"""Encoders behind OpenAI-compatible servers (vLLM, TEI)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from qttrag.errors import ConfigError
from qttrag.openai_client.endpoint import Remedies
from qttrag.protocols import PassageEncoder, QueryEncoder
from qttrag.types import EncoderInfo, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.encoders.openai import OpenAIEncoder

_REMEDIES = Remedies(
    unreachable="start it or correct `base_url:`",
    slow="raise `timeout:` or check its load",
    overloaded="lower `in_flight:` or wait",
    failed="lower `in_flight:` or check its log",
    not_found="correct `base_url:`, which usually ends in /v1, or `served_as:`, the server's own name of the model",
    rejected="if it takes fewer texts or tokens at once, lower `batch:` or `max_tokens:`",
)


class OpenAIKind:
    """Encoder kind `openai`: one or several servers with `/v1/embeddings` (vLLM, TEI).

    `base_url`: http://host:port/v1, or a list. `served_as`: the servers' name of the model, if it is not `model`, whose
    tokenizer (at `revision`) cuts texts to `max_tokens`. `batch`: texts in a request (TEI takes 32); `in_flight`:
    requests at the same time to each server; `timeout`: seconds; `retries`: each at the next server."""

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
    ) -> None:
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
        self._requests = in_flight * len(self._urls)
        self._timeout = timeout
        self._retries = retries

    def load(self) -> QueryEncoder:
        return _ParallelRequests(self._load(), ",".join(self._urls), batch=self.batch_texts, requests=self._requests)

    def load_for_passages(self) -> list[PassageEncoder]:
        return [self._load()] * self._requests

    def _load(self) -> OpenAIEncoder:
        from qttrag.encoders.openai import OpenAIEncoder

        return OpenAIEncoder(
            self._model,
            revision=self._revision,
            max_tokens=self._max_tokens,
            urls=self._urls,
            served_as=self._served_as,
            api_key_env=self._api_key_env,
            timeout=self._timeout,
            retries=self._retries,
            in_flight=self._in_flight,
            remedies=_REMEDIES,
        )


class _ParallelRequests:
    """Queries for servers: a batch is split into requests of `batch` texts, `requests` of them at the same time."""

    def __init__(self, encoder: OpenAIEncoder, device: str, *, batch: int, requests: int) -> None:
        self.device = device
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
