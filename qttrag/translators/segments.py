"""Translate texts segment by segment with any sequence-to-sequence model: cut, translate each distinct input, join.

Such models translate single sentences: of a passage, NLLB drops some, and past some 200 tokens it gets worse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.models import devices
from qttrag.models.loading import failed
from qttrag.protocols import TranslationTokenizer
from qttrag.runtime.batching import Batcher
from qttrag.text.languages import SPACELESS
from qttrag.translators import checks
from qttrag.translators.sentences import join, sentences, split
from qttrag.types import UNSUPPORTED, Lang, Translation

Unit = Literal["sentence", "passage"]
MIN_SENTENCE_TOKENS = 8  # some tokenizers spend that many on one character, and a segment holds one at least


class Segmentation(NamedTuple):
    """How texts are cut: into sentences of at most `max_tokens`, or not at all."""

    unit: Unit
    max_tokens: int


class ModelInput(NamedTuple):
    """The tokens before a text, the first tokens of its output, and its own, without the end."""

    source_code: tuple[str, ...]
    target_code: tuple[str, ...]
    tokens: tuple[str, ...]


class ModelOutput(NamedTuple):
    """The tokens of a translation, without codes and end. `ended`: the model ended it before the length limit."""

    tokens: tuple[str, ...]
    ended: bool


class Codes(NamedTuple):
    """The tokens before a text and the first tokens of its output, by which a model knows the languages."""

    source: tuple[str, ...]
    target: tuple[str, ...]


class Segment(NamedTuple):
    """A part of a text and the white space after it. `model_input` None: it has no letter and is copied unchanged.

    `split`: the first part of a sentence that was too long. `cut`: the model gets only the beginning."""

    text: str
    gap: str
    model_input: ModelInput | None
    split: bool = False
    cut: bool = False


class LoadedModel(NamedTuple):
    """A loaded model: its tokenizer, and the queue in front of it."""

    tokenizer: TranslationTokenizer
    batcher: Batcher[ModelInput, ModelOutput]


def output_limit(model_input: ModelInput, room: int) -> int:
    """Return the most tokens of a translation; a longer one repeats itself."""
    return min(2 * len(model_input.tokens) + 20, room)


def finish(tokens: Sequence[str], limit: int) -> ModelOutput:
    """Return the output of one input of a batch as if it had been decoded under its own limit."""
    return ModelOutput(tuple(tokens[:limit]), ended=len(tokens) < limit)


def batched(
    tokenizer: TranslationTokenizer,
    run: Callable[[list[ModelInput]], Mapping[ModelInput, ModelOutput]],
    *,
    device: str,
    batch_tokens: int,
) -> LoadedModel:
    """Return the model with a queue in front of `run`, which gets distinct inputs; its errors become StageErrors."""

    def guarded(batch: list[ModelInput]) -> list[ModelOutput]:
        try:
            outputs = run(list(dict.fromkeys(batch)))  # callers that wait together may wait for the same sentence
        except Exception as error:
            raise failed("translator", error) from error
        return [outputs[model_input] for model_input in batch]

    return LoadedModel(
        tokenizer,
        Batcher(
            guarded,
            executor=devices.executor(device),
            length=lambda model_input: len(model_input.source_code) + len(model_input.tokens) + 1,  # and the end
            max_items=batch_tokens,
            max_length=batch_tokens,
        ),
    )


def segments(
    text: str, lang: Lang, codes: Codes, tokenizer: TranslationTokenizer, segmentation: Segmentation
) -> list[Segment]:
    """Return the segments of a text, in order: whole sentences where they fit, else parts of them."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # lone surrogates stop the libraries
    units = sentences(text, lang) if segmentation.unit == "sentence" else [(text.strip(), "")]
    cleaned = [" ".join(unit.split()) for unit, _ in units]
    parts: list[Segment] = []
    for words, (_, gap), tokens in zip(cleaned, units, tokenizer.encode(cleaned), strict=True):
        if not _has_letters(words):
            parts.append(Segment(words, gap, None))
        elif segmentation.unit == "passage":
            beginning = tokens[: tokenizer.room]
            parts.append(Segment(words, gap, ModelInput(*codes, beginning), cut=len(beginning) < len(tokens)))
        elif len(tokens) <= (limit := min(segmentation.max_tokens, tokenizer.room)):
            parts.append(Segment(words, gap, ModelInput(*codes, tokens)))
        else:
            parts += _split(words, gap, codes, tokenizer, limit)
    return parts


def _split(words: str, gap: str, codes: Codes, tokenizer: TranslationTokenizer, limit: int) -> list[Segment]:
    parts = split(words, lambda text: len(tokenizer.encode([text])[0]) <= limit)
    gaps = [part[len(part.rstrip()) :] for part in parts[:-1]] + [gap]
    texts = [part.strip() for part in parts]
    return [
        Segment(text, after, ModelInput(*codes, tokens) if _has_letters(text) else None, split=number == 0)
        for number, (text, after, tokens) in enumerate(zip(texts, gaps, tokenizer.encode(texts), strict=True))
    ]


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


async def translate(
    model: LoadedModel, segmentation: Segmentation, texts: Sequence[str], source: Sequence[Lang], target: Lang
) -> list[Translation]:
    """Return each text in `target`, as `Translator.translate` promises.

    A text already in `target` is returned unchanged, and a segment without a letter is copied unchanged. A
    translation has the flags of all its segments."""
    tokenizer = model.tokenizer
    codes = {lang: _codes(tokenizer, lang, target) for lang in dict.fromkeys(source)}
    translations = [
        _untranslated(text, supported=lang == target or codes[lang] is not None)
        for text, lang in zip(texts, source, strict=True)
    ]
    trace.count("same_language", source.count(target))
    supported = [
        n for n, translation in enumerate(translations) if source[n] != target and UNSUPPORTED not in translation.flags
    ]
    segmented = await asyncio.to_thread(
        lambda: [
            segments(texts[n], source[n], codes[source[n]] or Codes((), ()), tokenizer, segmentation) for n in supported
        ]
    )
    inputs = [part.model_input for parts in segmented for part in parts if part.model_input]
    distinct = list(dict.fromkeys(inputs))
    outputs = dict(zip(distinct, await model.batcher.map(distinct), strict=True))
    _count(segmented, inputs, outputs)
    joined = await asyncio.to_thread(
        lambda: [
            _join(parts, outputs, tokenizer, source[n], target) for n, parts in zip(supported, segmented, strict=True)
        ]
    )
    for n, translation in zip(supported, joined, strict=True):
        translations[n] = translation
    return translations


def _untranslated(text: str, *, supported: bool) -> Translation:
    return Translation(text, () if supported or not _has_letters(text) else (UNSUPPORTED,))


def _codes(tokenizer: TranslationTokenizer, source: Lang, target: Lang) -> Codes | None:
    """Return the codes of a pair of languages; None: the model does not support one of them."""
    try:
        return Codes(tokenizer.source_code(source, target), tokenizer.target_code(target))
    except (ConfigError, InputError):  # the model's, or the language table's, which a code of a record may not be in
        return None


def _count(
    segmented: Sequence[Sequence[Segment]],
    inputs: Sequence[ModelInput],
    outputs: Mapping[ModelInput, ModelOutput],
) -> None:
    parts = [part for parts in segmented for part in parts]
    trace.count("sentences", len(inputs))
    trace.count("duplicates", len(inputs) - len(outputs))
    trace.count("copied_unchanged", sum(part.model_input is None for part in parts))
    trace.count("split", sum(part.split for part in parts))
    trace.count("cut", sum(part.cut for part in parts))
    trace.count("hit_length_limit", sum(not output.ended for output in outputs.values()))


def _join(
    parts: Sequence[Segment],
    outputs: Mapping[ModelInput, ModelOutput],
    tokenizer: TranslationTokenizer,
    source: Lang,
    target: Lang,
) -> Translation:
    translated: list[tuple[str, str]] = []
    flags: set[str] = set()
    for part in parts:
        if part.model_input is None:
            translated.append((part.text, part.gap))
            continue
        output = outputs[part.model_input]
        text = tokenizer.decode(output.tokens)
        translated.append((text, part.gap))
        flags.update(checks.flags(part.text, text, source, target))
        if part.cut or not output.ended:
            flags.add("cut")
    text = join(translated, spaceless=target.split("-")[0] in SPACELESS)
    return Translation(text, tuple(flag for flag in checks.FLAGS if flag in flags))
