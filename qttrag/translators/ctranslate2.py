"""Sequence-to-sequence translation models on CTranslate2: int8 on CPUs, float16 on GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from qttrag.errors import ConfigError, StageError
from qttrag.models import conversion, devices, loading
from qttrag.protocols import TranslationTokenizer
from qttrag.translators import families, segments, tokenization
from qttrag.translators.segments import LoadedModel, ModelInput, ModelOutput, Segmentation, Unit
from qttrag.types import Lang, Translation


class CTranslate2Translator:
    """Translates with a checkpoint of one family, which is converted once to CTranslate2's format in the cache folder.

    A kind is a subclass that names its `family`.

    `beam_size` 4 is what NLLB's authors evaluate with (arXiv:2207.04672); it takes 2 to 3 times as long as greedy
    search (1). `unit: passage` with `beam_size: 1` is the setting of arXiv:2510.23070: a passage is one input; what
    exceeds the model's maximum length is cut off, flagged "cut" and counted. A sentence of more than
    `max_sentence_tokens` is split. `compute_type` "auto" is int8 on a CPU and float16 on a GPU. A batch holds
    `batch_tokens` tokens, padding included. `inter_threads` batches run in parallel on `intra_threads` CPU threads
    each (0: CTranslate2's choice).

    Counts: sentences, duplicates, copied_unchanged (segments without a letter), split, cut, hit_length_limit,
    same_language.
    """

    family: ClassVar[families.ModelFamily]

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        compute_type: str = "auto",
        beam_size: int = 4,
        unit: Unit = "sentence",
        max_sentence_tokens: int = 200,
        batch_tokens: int = 4096,
        inter_threads: int = 1,
        intra_threads: int = 0,
    ) -> None:
        families.check_sizes(
            beam_size=beam_size,
            max_sentence_tokens=max_sentence_tokens,
            batch_tokens=batch_tokens,
            inter_threads=inter_threads,
        )
        self.model = model
        self.revision = revision
        self.device = device
        self.compute_type = compute_type
        self.beam_size = beam_size
        self.segmentation = Segmentation(unit, max_sentence_tokens)
        self.batch_tokens = batch_tokens
        self.inter_threads = inter_threads
        self.intra_threads = intra_threads
        self._loaded = loading.Lazy(self._load)

    @cached_property
    def _located(self) -> loading.LocatedModel:
        return self.family.locate(self.model, self.revision)

    @cached_property
    def _device(self) -> tuple[str, str]:
        """Return the device and the compute type on it."""
        device = devices.pick(self.device)
        auto = "float16" if device.startswith("cuda") else "int8"
        return device, auto if self.compute_type == "auto" else self.compute_type

    @property
    def identity(self) -> str:
        return families.identity(self.family.name, self._located, self.segmentation, self.beam_size, self._device[1])

    async def start(self) -> None:
        await self._loaded.get()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return await segments.translate(await self._loaded.get(), self.segmentation, texts, source, target)

    def _load(self) -> LoadedModel:
        device, compute_type = self._device
        tokenizer = self.family.tokenizer(self._located.path)
        translator = self._open(converted(self._located, compute_type), device, compute_type)

        def run(batch: list[ModelInput]) -> dict[ModelInput, ModelOutput]:
            return self._run(translator, tokenizer, batch)

        return segments.batched(tokenizer, run, device=device, batch_tokens=self.batch_tokens)

    def _open(self, path: Path, device: str, compute_type: str) -> Any:
        import ctranslate2

        kind, _, index = device.partition(":")
        try:
            return ctranslate2.Translator(
                str(path),
                device=kind,
                device_index=int(index or 0),
                compute_type=compute_type,
                inter_threads=self.inter_threads,
                intra_threads=self.intra_threads,
            )
        except ValueError as error:
            raise ConfigError(
                f"translator: CTranslate2 cannot run '{self.model}' with device '{device}' and compute type "
                f"'{compute_type}': {error}; set `device:` and `compute_type:` to what this machine supports"
            ) from error
        except RuntimeError as error:
            raise StageError(
                "translator",
                f"CTranslate2 cannot load {path}: {error}; delete that folder, and the model will be converted again",
            ) from error

    def _run(
        self, translator: Any, tokenizer: TranslationTokenizer, batch: list[ModelInput]
    ) -> dict[ModelInput, ModelOutput]:
        limits = [segments.output_limit(model_input, tokenizer.room) for model_input in batch]
        results = translator.translate_batch(
            [[*model_input.source_code, *model_input.tokens, tokenizer.end] for model_input in batch],
            target_prefix=[list(model_input.target_code) for model_input in batch],
            beam_size=self.beam_size,
            max_input_length=0,  # never cut silently
            max_decoding_length=max(limits) + len(batch[0].target_code),
            max_batch_size=-(-len(batch) // self.inter_threads),
        )
        return {
            model_input: segments.finish(result.hypotheses[0][len(model_input.target_code) :], limit)
            for model_input, result, limit in zip(batch, results, limits, strict=True)
        }


def converted(located: loading.LocatedModel, compute_type: str) -> Path:
    """Return the folder with a checkpoint in CTranslate2's format, converted by this or an earlier call.

    Its weights are float16, which CTranslate2 quantises to int8 on loading; they are float32, twice as large, only
    for `compute_type` "float32".

    Raises:
        ConfigError: the checkpoint cannot be converted, or the cache folder cannot be written."""
    stored = "float32" if compute_type == "float32" else "float16"
    return conversion.converted("translator", located, stored, lambda folder: _convert(located.path, folder, stored))


def _convert(checkpoint: Path, folder: Path, stored: str) -> None:
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
            return tokenization.load(Path(model_name_or_path))

    try:
        Converter(str(checkpoint)).convert(str(folder), quantization=stored)
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"translator: CTranslate2 cannot convert {checkpoint}: {error}; "
            "use the kind that runs on transformers, e.g. `nllb_transformers` in place of `nllb`"
        ) from error
