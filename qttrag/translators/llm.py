"""Translation by a language model: a chat model with prompts in the target language, or a translation model's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.prompts import FALLBACK, Prompts
from qttrag.protocols import Generator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.text.languages import SPACELESS, language
from qttrag.text.sanitization import sanitise
from qttrag.translators import checks, styles
from qttrag.translators.grouping import untranslated
from qttrag.translators.replies import translation_in
from qttrag.translators.segments import Unit
from qttrag.translators.sentences import join, sentences
from qttrag.types import Completion, Decoding, Lang, Message, Translation

METHOD = 1  # raised when the same settings give other translations than before, so that no cached one is used
REFUSED = "refused"
_FLAGS = (*checks.FLAGS, REFUSED)


class _Part(NamedTuple):
    """A part of a text, sanitised, and the white space after it. `source`: its language."""

    text: str
    gap: str
    source: Lang


class LLMTranslator:
    """Translator kind `llm`.

    `generator`: by default the deployment's. `style`: "plain", prompts in the target language for any chat model; or
    the form of a translation model, the name of a file in prompts/translate/styles. `unit`: a call translates a
    passage or a sentence. `max_tokens`: of one translation; a longer one is cut off and flagged "cut". `glossary`:
    translations of names and terms by target language, `{ko: {Suomenlinna: 수오멘린나}}`; the prompt has those that the
    text contains.

    Flags beside those of all translators: "refused" and "empty", where the model refused and the translation is empty.
    Counts: duplicates, copied_unchanged (parts without a letter), same_language, stripped (replies with an
    introduction, notes, quotes or a code fence, which are removed), refused, cut, glossary_missed (terms whose given
    translation is not in the translation)."""

    def __init__(
        self,
        *,
        generator: Generator,
        prompts: Prompts,
        style: str = "plain",
        unit: Unit = "passage",
        max_tokens: int = 1024,
        glossary: dict[str, dict[str, str]] | None = None,
    ) -> None:
        if max_tokens < 1:
            raise ConfigError(f"translator kind 'llm': `max_tokens: {max_tokens}` is too small; set it to 1 or more")
        self._generator = generator
        self._prompts = prompts
        self._style_name = style
        self._style = None if style == "plain" else styles.load(prompts.folder, style)
        self._unit = unit
        self._decoding = Decoding(max_tokens=max_tokens)
        self._glossary = {_code(lang): terms for lang, terms in (glossary or {}).items()}
        if self._glossary and self._style:
            raise ConfigError(f"translator kind 'llm': the style '{style}' has no place for a `glossary:`; remove it")

    @property
    def identity(self) -> str:
        glossary = sorted((lang, sorted(terms.items())) for lang, terms in self._glossary.items())
        return (
            f"llm:{METHOD}|{self._generator.identity}|{self._style_name}:{self._digest}|{self._unit}"
            f"|{self._decoding.max_tokens}|{glossary}"
        )

    @cached_property
    def _digest(self) -> str:
        """Return a digest of the prompt files: a changed prompt makes other translations."""
        digest = hashlib.blake2b(digest_size=8)
        folder = self._prompts.folder / "translate"
        for file in sorted([*folder.glob("*.yaml"), *folder.glob(f"styles/{self._style_name}.yaml")]):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
        return digest.hexdigest()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        trace.count("same_language", source.count(target))
        parts = [
            self._parts(text, lang) if lang != target and self._messages("", lang, target) else None
            for text, lang in zip(texts, source, strict=True)
        ]
        wanted = [part._replace(gap="") for each in parts if each for part in each if _has_letters(part.text)]
        distinct = list(dict.fromkeys(wanted))
        trace.count("duplicates", len(wanted) - len(distinct))
        translated = await gather_or_cancel(self._translated(part, target) for part in distinct)
        by_part = dict(zip(distinct, translated, strict=True))
        return [
            untranslated(text, supported=lang == target) if each is None else _joined(each, by_part, target)
            for text, lang, each in zip(texts, source, parts, strict=True)
        ]

    def _parts(self, text: str, lang: Lang) -> list[_Part]:
        units = sentences(text, lang) if self._unit == "sentence" else [(text, "")]
        parts = [_Part(sanitise(unit) if _has_letters(unit) else unit.strip(), gap, lang) for unit, gap in units]
        trace.count("copied_unchanged", sum(bool(part.text) and not _has_letters(part.text) for part in parts))
        return parts

    def _messages(self, text: str, source: Lang, target: Lang) -> list[Message] | None:
        """Return the chat that asks for a translation; None if a language is not supported."""
        if self._style:
            return self._style.messages(text, source, target)
        try:
            language(target)
        except InputError:
            return None
        return self._prompts.translate(target).messages(text, self._terms(text, target))

    def _terms(self, text: str, target: Lang) -> Mapping[str, str]:
        folded = text.casefold()
        return {
            term: given for term, given in self._glossary.get(target, {}).items() if sanitise(term).casefold() in folded
        }

    async def _translated(self, part: _Part, target: Lang) -> Translation:
        messages = self._messages(part.text, part.source, target)
        assert messages is not None  # noqa: S101  parts of unsupported languages are not translated
        completion = await self._generator.complete(messages, self._decoding)
        self._report(completion)
        prompts = [self._prompts.translate(lang) for lang in dict.fromkeys((target, FALLBACK))]
        reply = translation_in(completion.text, part.text, prompts)
        trace.count("stripped", int(reply.stripped))
        trace.count("refused", int(reply.refused))
        flags = {*checks.flags(part.text, reply.text, part.source, target), *[REFUSED] * reply.refused}
        if completion.cut:
            flags.add("cut")
        given = self._terms(part.text, target).values()
        trace.count("glossary_missed", sum(term.casefold() not in reply.text.casefold() for term in given))
        return Translation(reply.text, _ordered(flags))

    def _report(self, completion: Completion) -> None:
        trace.reasoning(completion.reasoning)
        trace.count("cut", int(completion.cut))
        if completion.cut and completion.reasoning and not completion.text.strip():
            trace.note(
                f"the translator's model used its {self._decoding.max_tokens} tokens for reasoning",
                details="raise `max_tokens:` of the translator or set `thinking: false` of its generator",
            )


def _joined(parts: Sequence[_Part], by_part: Mapping[_Part, Translation], target: Lang) -> Translation:
    translations = [by_part.get(part._replace(gap=""), Translation(part.text)) for part in parts]
    pairs = [(translation.text, part.gap) for translation, part in zip(translations, parts, strict=True)]
    text = join(pairs, spaceless=target.split("-")[0] in SPACELESS)
    return Translation(text, _ordered({flag for translation in translations for flag in translation.flags}))


def _ordered(flags: set[str]) -> tuple[str, ...]:
    return tuple(flag for flag in _FLAGS if flag in flags)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def _code(lang: str) -> Lang:
    try:
        return language(lang).code
    except InputError as error:
        raise ConfigError(f"translator kind 'llm': `glossary:` {error}") from error
