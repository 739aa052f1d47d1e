"""Encoders behind `/v1/embeddings`: vLLM, TEI and whatever else speaks it."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qttrag.encoders.sentence_transformers import tokenised
from qttrag.errors import ConfigError, StageError, StageUnavailable, not_installed
from qttrag.models.loading import locate
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    import openai
    from numpy.typing import NDArray

_STAGE = "retriever"
_CONNECT_SECONDS = 5.0


class ServedEncoder:
    """One encoder that several servers have. The tokenizer of `model` is here, to cut texts as the encoder would.

    May be used by several threads at once. `revision` is that of `model`: a server does not say which it has."""

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
    ) -> None:
        """Load the tokenizer and ask every server for a vector.

        Raises:
            ConfigError: there is no such tokenizer, or the servers' vectors are not of one size.
            StageError: a server refuses or cannot be reached."""
        try:
            import openai
            from transformers import AutoTokenizer
        except ModuleNotFoundError as error:
            raise ConfigError(not_installed("an encoder behind servers", error)) from error
        located = locate(_STAGE, model, revision=revision, model_types=(), weights=False)
        self.revision = located.revision
        self.max_tokens = max_tokens
        self._tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
        self._served_as = served_as or model
        self._api_key_env = api_key_env
        key, limits = os.environ.get(api_key_env) or "none", openai.Timeout(timeout, connect=_CONNECT_SECONDS)
        self._clients = [openai.OpenAI(base_url=url, api_key=key, timeout=limits, max_retries=0) for url in urls]
        self._retries = retries
        self._turns = itertools.count()
        sizes = {str(client.base_url): self._ask(client, ["."]).shape[1] for client in self._clients}
        if len(set(sizes.values())) > 1:
            raise ConfigError(f"{_STAGE}: the servers have vectors of different sizes ({sizes}); serve one model")
        self.dim = next(iter(sizes.values()))
        self.info = EncoderInfo(model, self.revision, self.dim, max_tokens)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the texts in tokens, cut to `max_tokens`."""
        return tokenised(self._tokenizer, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        return Prepared({"texts": [each.text for each in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim). What one server fails at the next is asked.

        Raises:
            StageError: a server refuses, or none answers."""
        import openai
        import stamina

        passing = (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError)
        attempts = stamina.retry_context(
            on=lambda error: isinstance(error.__cause__, passing), attempts=self._retries + 1, timeout=None
        )
        for attempt in attempts:
            with attempt:
                client = self._clients[next(self._turns) % len(self._clients)]
                return self._ask(client, prepared.features["texts"])
        raise AssertionError("a retry loop ends by return or error")

    def _ask(self, client: openai.OpenAI, texts: list[str]) -> NDArray[np.float32]:
        try:
            reply = client.embeddings.create(model=self._served_as, input=texts, encoding_format="base64")
            return _unit([each.embedding for each in sorted(reply.data, key=lambda each: each.index)], len(texts))
        except Exception as error:
            raise self._explained(client, error) from error

    def _explained(self, client: openai.OpenAI, error: Exception) -> StageError:
        import openai

        at = f"{client.base_url} (model {self._served_as})"
        words = " ".join(str(error).split())[:200]
        match error:
            case openai.APIConnectionError():
                return StageUnavailable(
                    _STAGE, f"{at} cannot be reached ({words}); start it, or take it out of `servers: {{urls: ...}}`"
                )
            case openai.RateLimitError() | openai.InternalServerError():
                way_out = "lower `servers: {in_flight: ...}` or look at its log"
                return StageUnavailable(_STAGE, f"{at} failed (HTTP {error.status_code}): {words}; {way_out}")
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                return StageError(_STAGE, f"{at} refused the key; set the environment variable {self._api_key_env}")
            case openai.NotFoundError():
                way_out = "correct `servers:`, whose urls usually end in /v1 and whose model is as the server calls it"
                return StageError(_STAGE, f"{at} does not have this model or path; {way_out}")
            case openai.APIStatusError():
                way_out = "if it takes fewer texts or tokens at once, lower `servers: {batch: ...}` or `max_tokens:`"
                return StageError(_STAGE, f"{at} refused (HTTP {error.status_code}): {words}; {way_out}")
        return StageError(_STAGE, f"{at} sent a reply that cannot be used ({type(error).__name__}: {words})")


def _unit(embeddings: Sequence[Any], n: int) -> NDArray[np.float32]:
    """Return what came, as base64 or as numbers, as unit vectors.

    Raises:
        ValueError: not one vector a text, not of one size, or one without a direction."""
    import numpy as np

    if len(embeddings) != n:
        raise ValueError(f"{len(embeddings)} vectors for {n} texts")
    rows = [np.frombuffer(base64.b64decode(e), "<f4") if isinstance(e, str) else np.array(e) for e in embeddings]
    vectors = np.stack(rows).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(norms).all() and norms.all()):
        raise ValueError("a vector that is zero or no number")
    unit: NDArray[np.float32] = vectors / norms
    return unit
