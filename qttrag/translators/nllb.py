"""NLLB-200 on CTranslate2: int8 on CPUs, float16 on GPUs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from qttrag import resources
from qttrag.errors import ConfigError, StageError
from qttrag.models import devices, loading
from qttrag.translators import segments
from qttrag.translators.segments import Cutting, Model, Output, Pieces, Sentence, Unit
from qttrag.types import Lang, Translation

MODEL_TYPES = frozenset({"m2m_100"})
METHOD = 2  # goes up when the same settings give other translations than before: caches then start anew


class NllbTranslator:
    """Translates with an NLLB-200 checkpoint, converted once to CTranslate2's format in the cache folder.

    `beam_size` 4 is what NLLB's authors evaluate with (arXiv:2207.04672); it costs 2 to 3 times greedy search (1).
    `unit: passage` with `beam_size: 1` is what arXiv:2510.23070 did: a passage is one input, and what exceeds the
    model's room is cut off, flagged "cut" and counted. A sentence of more than `max_sentence_tokens` is split.
    `compute_type` "auto" is int8 on a CPU and float16 on a GPU. A batch holds `batch_tokens` tokens, padding
    included. `inter_threads` batches run side by side on `intra_threads` CPU threads each (0: CTranslate2's choice).

    Counts: sentences, duplicates, taken_over (no letter in it), split, cut, endless, same_language.
    """

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
        check_sizes(
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
        self.cutting = Cutting(unit, max_sentence_tokens)
        self.batch_tokens = batch_tokens
        self.inter_threads = inter_threads
        self.intra_threads = intra_threads
        self._loaded = loading.Lazy(self._load)

    @cached_property
    def _located(self) -> loading.LocatedModel:
        return loading.locate("translator", self.model, revision=self.revision, model_types=MODEL_TYPES)

    @cached_property
    def _device(self) -> tuple[str, str]:
        """Return the device, and the type to compute in there."""
        device = devices.pick(self.device)
        auto = "float16" if device.startswith("cuda") else "int8"
        return device, auto if self.compute_type == "auto" else self.compute_type

    @property
    def identity(self) -> str:
        return identity("nllb", self._located, self.cutting, self.beam_size, self._device[1])

    async def start(self) -> None:
        await self._loaded.get()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return await segments.translate(await self._loaded.get(), self.cutting, texts, source, target)

    def _load(self) -> Model:
        device, compute_type = self._device
        pieces = Pieces(self._located.path)
        translator = self._open(converted(self._located, compute_type), device, compute_type)

        def run(batch: list[Sentence]) -> list[Output]:
            return self._run(translator, pieces, batch)

        return segments.queued(pieces, run, device=device, batch_tokens=self.batch_tokens)

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
                "translator", f"CTranslate2 cannot load {path}: {error}; delete that folder to have it made anew"
            ) from error

    def _run(self, translator: Any, pieces: Pieces, batch: list[Sentence]) -> list[Output]:
        distinct = list(dict.fromkeys(batch))  # callers that wait together may wait for the same sentence
        limits = [pieces.output_limit(sentence) for sentence in distinct]
        results = translator.translate_batch(
            [[sentence.source, *sentence.tokens, pieces.end] for sentence in distinct],
            target_prefix=[[sentence.target] for sentence in distinct],
            beam_size=self.beam_size,
            max_input_length=0,  # never cut silently
            max_decoding_length=max(limits) + 1,  # and the target's code
            max_batch_size=-(-len(distinct) // self.inter_threads),
        )
        outputs = {
            sentence: segments.finish(result.hypotheses[0][1:], limit)
            for sentence, result, limit in zip(distinct, results, limits, strict=True)
        }
        return [outputs[sentence] for sentence in batch]


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that no translation can be made with.

    Raises:
        ConfigError: one is too small."""
    least = {"max_sentence_tokens": segments.MIN_SENTENCE_TOKENS}
    for name, value in sizes.items():
        if value < least.get(name, 1):
            raise ConfigError(f"translator: `{name}: {value}` is too small; set it to {least.get(name, 1)} or more")


def identity(kind: str, located: loading.LocatedModel, cutting: Cutting, beam_size: int, compute_type: str) -> str:
    """Return what translations depend on; folders count by their contents, not by where they are."""
    return f"{kind}:{METHOD}|{located.revision}|{compute_type}|beam:{beam_size}|{cutting.unit}" + (
        f":{cutting.max_tokens}" if cutting.unit == "sentence" else ""
    )


def converted(located: loading.LocatedModel, compute_type: str) -> Path:
    """Return the folder with a checkpoint in CTranslate2's format, made now unless an earlier call has.

    It holds float16 weights, from which CTranslate2 makes int8 or float16 ones while it loads: half the disk of
    float32, which is kept only for those who compute in it. Safe with several processes and against kills: one
    process converts, into a folder that only a rename makes a model.

    Raises:
        ConfigError: the checkpoint cannot be converted, or the cache folder not be written."""
    import filelock

    stored = "float32" if compute_type == "float32" else "float16"
    name = re.sub(r"[^\w.-]+", "-", f"{_name(located.path)}-{located.revision}-{stored}")
    folder = resources.cache_folder() / "ctranslate2" / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{name}.lock")):  # its holder's death releases it
            if not folder.is_dir():
                _convert(located.path, folder, stored)
    except OSError as error:
        raise ConfigError(
            f"translator: cannot write {folder}: {error}; set QTTRAG_HOME to a folder with room"
        ) from error
    return folder


def _name(path: Path) -> str:
    repository = next((part for part in path.parts if part.startswith("models--")), "")
    return repository.removeprefix("models--") or path.name


def _convert(checkpoint: Path, folder: Path, stored: str) -> None:
    from ctranslate2.converters import TransformersConverter

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by one that was killed
    try:
        TransformersConverter(str(checkpoint)).convert(str(partial), quantization=stored)
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            f"translator: CTranslate2 cannot convert {checkpoint}: {error}; use `kind: nllb_transformers`"
        ) from error
    partial.rename(folder)
