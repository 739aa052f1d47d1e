"""NLLB-200 on transformers: for comparison with the CTranslate2 one, and where that is not to be had."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

from qttrag.models import devices, loading
from qttrag.translators import segments
from qttrag.translators.nllb import MODEL_TYPES, check_sizes, identity
from qttrag.translators.segments import Cutting, Model, Output, Pieces, Sentence, Unit
from qttrag.types import Lang, Translation


class NllbTransformersTranslator:
    """Translates with an NLLB-200 checkpoint as it is; the settings are those of `NllbTranslator`.

    In float32 and with `beam_size: 1` both give the same tokens."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: Literal["float32", "float16", "bfloat16"] = "float32",
        beam_size: int = 4,
        unit: Unit = "sentence",
        max_sentence_tokens: int = 200,
        batch_tokens: int = 4096,
    ) -> None:
        check_sizes(beam_size=beam_size, max_sentence_tokens=max_sentence_tokens, batch_tokens=batch_tokens)
        self.model = model
        self.revision = revision
        self.device = device
        self.dtype = dtype
        self.beam_size = beam_size
        self.cutting = Cutting(unit, max_sentence_tokens)
        self.batch_tokens = batch_tokens
        self._loaded = loading.Lazy(self._load)

    @cached_property
    def _located(self) -> loading.LocatedModel:
        return loading.locate("translator", self.model, revision=self.revision, model_types=MODEL_TYPES)

    @property
    def identity(self) -> str:
        return identity("nllb_transformers", self._located, self.cutting, self.beam_size, self.dtype)

    async def start(self) -> None:
        await self._loaded.get()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return await segments.translate(await self._loaded.get(), self.cutting, texts, source, target)

    def _load(self) -> Model:
        from transformers import AutoModelForSeq2SeqLM

        device = devices.pick(self.device)
        pieces = Pieces(self._located.path)
        try:
            network: Any = AutoModelForSeq2SeqLM.from_pretrained(
                self._located.path, dtype=self.dtype, use_safetensors=True
            )
            network = network.eval().to(device)
        except Exception as error:
            raise loading.failed("translator", error) from error

        def run(batch: list[Sentence]) -> list[Output]:
            return self._run(network, pieces, batch)

        return segments.queued(pieces, run, device=device, batch_tokens=self.batch_tokens)

    def _run(self, network: Any, pieces: Pieces, batch: list[Sentence]) -> list[Output]:
        import torch
        from transformers import GenerationConfig

        config = network.config
        decoding: Any = GenerationConfig  # untyped
        distinct = list(dict.fromkeys(batch))
        rows = [pieces.ids([s.source, *s.tokens, pieces.end]) for s in distinct]
        limits = [pieces.output_limit(sentence) for sentence in distinct]
        inputs = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True, padding_value=config.pad_token_id
        )
        lengths = torch.tensor([len(row) for row in rows])
        begun = [[config.decoder_start_token_id, *pieces.ids([sentence.target])] for sentence in distinct]
        with torch.inference_mode():
            generated = network.generate(
                input_ids=inputs.to(network.device),
                attention_mask=(torch.arange(inputs.shape[1]) < lengths[:, None]).long().to(network.device),
                decoder_input_ids=torch.tensor(begun, device=network.device),
                generation_config=decoding(
                    num_beams=self.beam_size,
                    do_sample=False,
                    max_length=max(limits) + 2,  # decoder start and the target's code
                    bos_token_id=config.bos_token_id,
                    eos_token_id=config.eos_token_id,
                    pad_token_id=config.pad_token_id,
                    decoder_start_token_id=config.decoder_start_token_id,
                ),
            )
        outputs = {
            sentence: segments.finish(_until(row[2:], config.eos_token_id, pieces), limit)
            for sentence, row, limit in zip(distinct, generated.tolist(), limits, strict=True)
        }
        return [outputs[sentence] for sentence in batch]


def _until(ids: list[int], end: int, pieces: Pieces) -> list[str]:
    return pieces.from_ids(ids[: ids.index(end)] if end in ids else ids)
