"""From texts to a translation model's inputs and back: sentences, parts of over-long ones, each distinct one once.

NLLB translates single sentences: given a paragraph it drops some of them, and past some 200 tokens it gets worse.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.models import devices
from qttrag.models.loading import failed, quiet
from qttrag.runtime.batching import Batcher
from qttrag.translators import checks
from qttrag.types import Lang, Translation

Unit = Literal["sentence", "passage"]
MIN_SENTENCE_TOKENS = 8  # of a character some tokenizers make that many pieces, and a part has to hold one
_CLAUSE_END = re.compile(r"[,;:]\s+|[、，；：،؛]\s*")
_SPACE = re.compile(r"\s+")
_NARROW = tuple(".!?:;,")  # bring no space of their own, as full-width marks do


class Sentence(NamedTuple):
    """A model input: the model's codes of both languages, and the text's pieces without codes and end."""

    source: str
    target: str
    tokens: tuple[str, ...]


class Output(NamedTuple):
    """What a model said to one input: pieces without code and end, and whether it came to an end by itself."""

    tokens: tuple[str, ...]
    ended: bool


class Part(NamedTuple):
    """A piece of a text: its words, the white space that follows them, and what is asked of the model.

    `sentence` is None where nothing is: the words are taken over. `split`: the first part of an over-long
    sentence. `cut`: the model is not given all of the words."""

    text: str
    gap: str
    sentence: Sentence | None
    split: bool = False
    cut: bool = False


class Cutting(NamedTuple):
    """How texts are cut into model inputs: by sentences of at most `max_tokens`, or not at all."""

    unit: Unit
    max_tokens: int


def finish(tokens: Sequence[str], limit: int) -> Output:
    """Return a batch's output for one of its inputs as if it had been decoded under its own limit."""
    return Output(tuple(tokens[:limit]), ended=len(tokens) < limit)


class Pieces:
    """An NLLB tokenizer in which text is only ever text: "</s>" or "kor_Hang" in a passage are letters.

    Raises:
        ConfigError: the folder holds no tokenizer that loads."""

    def __init__(self, path: Path) -> None:
        from transformers import AutoConfig, AutoTokenizer

        quiet()
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
            config: Any = AutoConfig.from_pretrained(path)
        except Exception as error:  # the tokenizers library raises bare ones
            raise ConfigError(
                f"translator: the tokenizer in {path} does not load: {error}; fetch the model again"
            ) from error
        self.path = path
        self.end: str = self._tokenizer.eos_token
        self.room: int = min(self._tokenizer.model_max_length, config.max_position_embeddings) - 2  # code and end
        self.encode(["."])  # now, while one thread has it: the first call changes the tokenizer's settings

    def code(self, lang: Lang) -> str:
        """Return the model's code of a language.

        Raises:
            ConfigError: the model does not know it."""
        from qttrag.text.languages import language

        row = language(lang)
        if self._tokenizer.convert_tokens_to_ids(row.nllb) == self._tokenizer.unk_token_id:
            raise ConfigError(
                f"translator: the model in {self.path} does not know {row.name} ('{lang}', {row.nllb}); "
                "set `translator: {model: ...}` to one that does, or leave this language out"
            )
        return row.nllb

    def output_limit(self, sentence: Sentence) -> int:
        """Return how many pieces a translation may have: one that gets longer goes round in circles."""
        return min(2 * len(sentence.tokens) + 20, self.room)

    def encode(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        encoded = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)
        return [tuple(self._tokenizer.convert_ids_to_tokens(ids)) for ids in encoded["input_ids"]]

    def decode(self, tokens: Sequence[str]) -> str:
        text: str = self._tokenizer.decode(self.ids(tokens), skip_special_tokens=True)
        return unicodedata.normalize("NFC", text.strip())

    def ids(self, tokens: Sequence[str]) -> list[int]:
        ids: list[int] = self._tokenizer.convert_tokens_to_ids(list(tokens))
        return ids

    def from_ids(self, ids: Sequence[int]) -> list[str]:
        tokens: list[str] = self._tokenizer.convert_ids_to_tokens(list(ids))
        return tokens


class Model(NamedTuple):
    """A loaded model: its tokenizer, and the queue in front of it."""

    pieces: Pieces
    batcher: Batcher[Sentence, Output]


def queued(pieces: Pieces, run: Callable[[list[Sentence]], list[Output]], *, device: str, batch_tokens: int) -> Model:
    """Return the model with a queue in front of `run`; what `run` raises becomes a StageError."""

    def guarded(batch: list[Sentence]) -> list[Output]:
        try:
            return run(batch)
        except Exception as error:
            raise failed("translator", error) from error

    return Model(
        pieces,
        Batcher(
            guarded,
            executor=devices.executor(device),
            length=lambda sentence: len(sentence.tokens) + 2,  # code and end
            max_items=batch_tokens,
            max_length=batch_tokens,
        ),
    )


def sentences(text: str, lang: Lang) -> list[tuple[str, str]]:
    """Return (sentence, white space after it) pairs that joined give `text` without the white space before it."""
    import sentencex

    found: list[tuple[str, str]] = []
    for segment in sentencex.segment(lang.split("-")[0], text.lstrip()):
        words = segment.rstrip()
        if words:
            lead = len(words) - len(words.lstrip())
            if found and lead:
                found[-1] = (found[-1][0], found[-1][1] + words[:lead])
            found.append((words[lead:], segment[len(words) :]))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + segment)
    return found


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return `text` in as few parts as halving gives that fit, joined the text again.

    Each cut is near the middle: after clause punctuation, else at white space, else between characters."""
    if len(text) < 2 or fits(text):
        return [text]
    at = _middle(text)
    return split(text[:at], fits) + split(text[at:], fits)


def _middle(text: str) -> int:
    middle, reach = len(text) / 2, len(text) / 4
    for pattern in (_CLAUSE_END, _SPACE):
        cuts = [match.end() for match in pattern.finditer(text) if abs(match.end() - middle) <= reach]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - middle))
    at = len(text) // 2
    while at < len(text) - 1 and unicodedata.category(text[at]).startswith("M"):
        at += 1  # not between a letter and its marks
    return at


def join(parts: Sequence[tuple[str, str]], *, spaceless: bool) -> str:
    """Return the translated parts as one text: line breaks stay, other gaps become what the target puts there."""
    joined = ""
    for text, gap in parts:
        joined += text
        if lines := gap.count("\n"):
            joined += "\n" * lines
        elif text and (not spaceless or text.endswith(_NARROW)):
            joined += " "
    return joined.strip()


def cut_up(text: str, lang: Lang, codes: tuple[str, str], pieces: Pieces, cutting: Cutting) -> list[Part]:
    """Return the parts of a text, in order: whole sentences where they fit, else parts of them."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half characters stop the libraries
    units = sentences(text, lang) if cutting.unit == "sentence" else [(text.strip(), "")]
    cleaned = [" ".join(unit.split()) for unit, _ in units]
    parts: list[Part] = []
    for words, (_, gap), tokens in zip(cleaned, units, pieces.encode(cleaned) if cleaned else [], strict=True):
        if not any(map(str.isalpha, words)):
            parts.append(Part(words, gap, None))
        elif cutting.unit == "passage":
            kept = tokens[: pieces.room]
            parts.append(Part(words, gap, Sentence(*codes, kept), cut=len(kept) < len(tokens)))
        elif len(tokens) <= (limit := min(cutting.max_tokens, pieces.room)):
            parts.append(Part(words, gap, Sentence(*codes, tokens)))
        else:
            parts += _split_parts(words, gap, codes, pieces, limit)
    return parts


def _split_parts(words: str, gap: str, codes: tuple[str, str], pieces: Pieces, limit: int) -> list[Part]:
    shares = split(words, lambda text: len(pieces.encode([text])[0]) <= limit)
    gaps = [share[len(share.rstrip()) :] for share in shares[:-1]] + [gap]
    texts = [share.strip() for share in shares]
    return [
        Part(text, after, Sentence(*codes, tokens) if any(map(str.isalpha, text)) else None, split=number == 0)
        for number, (text, after, tokens) in enumerate(zip(texts, gaps, pieces.encode(texts), strict=True))
    ]


async def translate(
    model: Model, cutting: Cutting, texts: Sequence[str], source: Sequence[Lang], target: Lang
) -> list[Translation]:
    """Return each text in `target`: what `Translator.translate` promises, for any model behind a `Batcher`.

    A text already in `target` comes back as it is; sentences without a letter are taken over. The flags of a
    translation are those of its sentences: one that came out empty or in circles flags the text."""
    code = model.pieces.code(target)
    codes = {lang: (model.pieces.code(lang), code) for lang in dict.fromkeys(source)}
    foreign = [n for n, lang in enumerate(source) if codes[lang][0] != code]
    trace.count("same_language", len(texts) - len(foreign))
    cut = await asyncio.to_thread(
        lambda: [cut_up(texts[n], source[n], codes[source[n]], model.pieces, cutting) for n in foreign]
    )
    asked = [part.sentence for parts in cut for part in parts if part.sentence]
    distinct = list(dict.fromkeys(asked))
    outputs = dict(zip(distinct, await model.batcher.map(distinct), strict=True))
    _count(cut, asked, outputs)
    translations = [Translation(text) for text in texts]
    done = await asyncio.to_thread(
        lambda: [_assemble(p, outputs, model.pieces, source[n], target) for n, p in zip(foreign, cut, strict=True)]
    )
    for n, translation in zip(foreign, done, strict=True):
        translations[n] = translation
    return translations


def _count(cut: Sequence[Sequence[Part]], asked: Sequence[Sentence], outputs: dict[Sentence, Output]) -> None:
    trace.count("sentences", len(asked))
    trace.count("duplicates", len(asked) - len(outputs))
    trace.count("taken_over", sum(part.sentence is None for parts in cut for part in parts))
    trace.count("split", sum(part.split for parts in cut for part in parts))
    trace.count("cut", sum(part.cut for parts in cut for part in parts))
    trace.count("endless", sum(not output.ended for output in outputs.values()))


def _assemble(
    parts: Sequence[Part], outputs: dict[Sentence, Output], pieces: Pieces, source: Lang, target: Lang
) -> Translation:
    from qttrag.text.languages import SPACELESS

    translated: list[tuple[str, str]] = []
    raised: set[str] = set()
    for part in parts:
        if part.sentence is None:
            translated.append((part.text, part.gap))
            continue
        output = outputs[part.sentence]
        text = pieces.decode(output.tokens)
        translated.append((text, part.gap))
        raised.update(checks.flags(part.text, text, source, target))
        if part.cut or not output.ended:
            raised.add("cut")
    return Translation(
        join(translated, spaceless=target.split("-")[0] in SPACELESS), tuple(f for f in checks.FLAGS if f in raised)
    )
