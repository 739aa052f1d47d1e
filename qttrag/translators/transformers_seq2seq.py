"""Sequence-to-sequence translation models on transformers, for comparison and where CTranslate2 is unavailable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

from qttrag.models import devices, loading
from qttrag.protocols import TranslationTokenizer
from qttrag.translators import families, segments
from qttrag.translators.segments import LoadedModel, ModelInput, ModelOutput, Segmentation, Unit
from qttrag.types import Lang, Translation


class TransformersTranslator:
    """Translates with a checkpoint of one family as it is; the settings are those of `CTranslate2Translator`.

    In float32 and with `beam_size: 1` both give the same tokens. A kind is a subclass that names its `family`."""

    family: ClassVar[families.ModelFamily]

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
        families.check_sizes(beam_size=beam_size, max_sentence_tokens=max_sentence_tokens, batch_tokens=batch_tokens)
        self.model = model
        self.revision = revision
        self.device = device
        self.dtype = dtype
        self.beam_size = beam_size
        self.segmentation = Segmentation(unit, max_sentence_tokens)
        self.batch_tokens = batch_tokens
        self._loaded = loading.Lazy(self._load)

    @cached_property
    def _located(self) -> loading.LocatedModel:
        return self.family.locate(self.model, self.revision)

    @property
    def identity(self) -> str:
        name = f"{self.family.name}_transformers"
        return families.identity(name, self._located, self.segmentation, self.beam_size, self.dtype)

    async def start(self) -> None:
        await self._loaded.get()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return await segments.translate(await self._loaded.get(), self.segmentation, texts, source, target)

    def _load(self) -> LoadedModel:
        from transformers import AutoModelForSeq2SeqLM

        device = devices.pick(self.device)
        tokenizer = self.family.tokenizer(self._located.path)
        try:
            network: Any = AutoModelForSeq2SeqLM.from_pretrained(
                self._located.path, dtype=self.dtype, use_safetensors=True
            )
            network = network.eval().to(device)
        except Exception as error:
            raise loading.failed("translator", error) from error

        def run(batch: list[ModelInput]) -> dict[ModelInput, ModelOutput]:
            return self._run(network, tokenizer, batch)

        return segments.batched(tokenizer, run, device=device, batch_tokens=self.batch_tokens)

    def _run(
        self, network: Any, tokenizer: TranslationTokenizer, batch: list[ModelInput]
    ) -> dict[ModelInput, ModelOutput]:
        import torch

        config = network.config
        rows = [tokenizer.ids([*each.source_code, *each.tokens, tokenizer.end]) for each in batch]
        prefixes = [[config.decoder_start_token_id, *tokenizer.ids(each.target_code)] for each in batch]
        limits = [segments.output_limit(each, tokenizer.room) for each in batch]
        inputs = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(row) for row in rows], batch_first=True, padding_value=config.pad_token_id
        )
        lengths = torch.tensor([len(row) for row in rows])
        prefix = len(prefixes[0])
        with torch.inference_mode():
            generated = network.generate(
                input_ids=inputs.to(network.device),
                attention_mask=(torch.arange(inputs.shape[1]) < lengths[:, None]).long().to(network.device),
                decoder_input_ids=torch.tensor(prefixes, device=network.device),
                generation_config=self._decoding(network, max(limits) + prefix),
            )
        return {
            each: segments.finish(tokenizer.tokens(_until(row[prefix:], config.eos_token_id)), limit)
            for each, row, limit in zip(batch, generated.tolist(), limits, strict=True)
        }

    def _decoding(self, network: Any, max_length: int) -> Any:
        from transformers import GenerationConfig

        config = network.config
        decoding: Any = GenerationConfig  # untyped
        return decoding(
            num_beams=self.beam_size,
            do_sample=False,
            max_length=max_length,
            bos_token_id=getattr(config, "bos_token_id", None),
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
            bad_words_ids=network.generation_config.bad_words_ids,  # Marian's padding, which CTranslate2 leaves out
        )


def _until(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids
