"""Semantic scores of translations by MetricX-24 without a reference (arXiv:2410.03983), in this process.

MetricX is an mT5 that was trained to write one number: the logit of a reserved token at the first position of the
decoder is the error of a translation, from 0 (none) to 25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, StageError
from qttrag.models import devices
from qttrag.models.loading import Lazy, failed, locate, quiet
from qttrag.runtime.batching import Batcher
from qttrag.taggers.critical_errors.check import Check
from qttrag.types import MAX_SCORE, Criterion, Lang, QualityScores, Verdict

_STAGE = "tagger"
_WORST = 25.0  # MetricX predicts MQM errors, clipped to 0 to 25
_MT5_EXTRA_ID_10 = 250_089  # <extra_id_10> in the vocabulary of mT5


class _Loaded(NamedTuple):
    tokenizer: Any
    batcher: Batcher[list[int], float]


class MetricXTagger:
    """Tagger kind `metricx`: a semantic score alone, 5 for no error and 0 for an error of 25, linear between them.

    `tokenizer`: a model with mT5's, where the folder of `model` has none. `max_tokens`: of original and translation
    together; longer pairs are cut, as in MetricX. `score_token`: the id of the token whose logit is the error.
    `dtype` auto: bfloat16 on a GPU, float32 on the CPU (mT5 overflows in float16).
    Counts: scored, truncated, unscored.<cause> with the causes empty and unavailable."""

    measures: ClassVar[tuple[Criterion, ...]] = ("semantic",)

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        tokenizer: str | None = None,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        max_tokens: int = 1536,
        batch_tokens: int = 16_384,
        score_token: int = _MT5_EXTRA_ID_10,
        flags: bool = True,
        cap: float | None = None,
    ) -> None:
        self._model = model
        self._revision = revision
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._score_token = score_token
        self._check = Check(flags=flags, cap=cap)
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        filled = [n for n, translation in enumerate(translations) if translation.strip()]
        verdicts = [Verdict(None, "empty")] * len(translations)
        try:
            errors = await self._errors([originals[n] for n in filled], [translations[n] for n in filled])
            for n, error in zip(filled, errors, strict=True):
                verdicts[n] = Verdict(QualityScores(MAX_SCORE * (1 - error / _WORST)))
        except StageError as failure:
            trace.note_error("translations are unscored", failure)
            for n in filled:
                verdicts[n] = Verdict(None, "unavailable", failure)
        for verdict in verdicts:
            trace.count("scored" if verdict.scores else f"unscored.{verdict.cause}")
        return self._check.checked(verdicts, originals, translations, source, target)

    async def _errors(self, originals: Sequence[str], translations: Sequence[str]) -> list[float]:
        if not originals:
            return []
        loaded = await self._lazy.get()
        texts = [f"source: {one} candidate: {other}" for one, other in zip(originals, translations, strict=True)]
        rows = loaded.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]  # MetricX reads no </s>
        trace.count("truncated", sum(len(row) > self._max_tokens for row in rows))
        return await loaded.batcher.map([row[: self._max_tokens] for row in rows])

    def _load(self) -> _Loaded:
        located = locate(_STAGE, self._model, revision=self._revision, model_types={"mt5"})
        import torch
        from transformers import AutoTokenizer, MT5ForConditionalGeneration

        quiet()
        device = devices.pick(self._device)
        on_gpu = self._dtype == "bfloat16" or (self._dtype == "auto" and device.startswith("cuda"))
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(
                self._tokenizer_path(str(located.path)), local_files_only=True
            )
            model: Any = MT5ForConditionalGeneration.from_pretrained(
                located.path,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.bfloat16 if on_gpu else torch.float32,
            )
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as MetricX: {error}") from error
        if not 0 <= self._score_token < model.config.vocab_size:
            raise ConfigError(
                f"{_STAGE}: `score_token: {self._score_token}` is not in the vocabulary of {located.path} "
                f"({model.config.vocab_size} tokens); it is no MetricX model, or its token has another id"
            )
        model.to(device).eval()

        def run(rows: list[list[int]]) -> list[float]:
            try:
                return self._predict(model, rows, device)
            except Exception as error:
                raise failed(_STAGE, error) from error

        batcher = Batcher(
            run, executor=devices.executor(device), length=len, max_length=self._batch_tokens, max_items=64
        )
        return _Loaded(tokenizer, batcher)

    def _predict(self, model: Any, rows: Sequence[Sequence[int]], device: str) -> list[float]:
        """Return the errors of encoded pairs, each in [0, 25]."""
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[model.config.pad_token_id] * (longest - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
        start = torch.zeros((len(rows), 1), dtype=torch.long, device=device)
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=start).logits
        errors: list[float] = logits[:, 0, self._score_token].float().clamp(0, _WORST).tolist()
        return errors

    def _tokenizer_path(self, model: str) -> str:
        if self._tokenizer is None:
            return model
        return str(locate(_STAGE, self._tokenizer, revision=None, model_types=(), weights=False).path)
