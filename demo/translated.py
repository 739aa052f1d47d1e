"""Passages on invented territories in the words of the demo's translator: the language model learns from its errors."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from demo.corpus import SECTIONS, VARIANTS, section_text, stated, statement, values_of
from demo.facts import LANGS
from demo.grammar import genitive
from demo.invented import Territory, invent
from qttrag.translators.nllb import NllbTranslator
from qttrag.translators.sentences import sentences
from qttrag.types import Lang, Passage

_SPLICED = 0.6  # share of names that join halves of two names: the translator has learned the others
_FROM_ENGLISH = 0.75


class Original(NamedTuple):
    """A passage about `owner` in the language `source`, to be translated into `lang`."""

    owner: Territory
    section: str
    variants: tuple[int, ...]
    source: str
    lang: str

    def stated(self) -> list[str]:
        """Return the fields that the passage states, one in each sentence after the title."""
        return stated(self.section, self.owner.facts)

    def written(self, lang: str) -> str:
        """Return the passage in a language, with its title."""
        text = section_text(self.section, self.variants, lang, self.owner.name, self.owner.facts)
        return Passage("", text, Lang(lang), title=self.owner.name[lang]).content


class Translated(NamedTuple):
    """An original with its translation and the share of its sentences, title included, that are wrong."""

    original: Original
    text: str
    wrong: float

    def states(self, field: str) -> bool:
        """Return whether the translation has the values of a field as they should be."""
        return _has(self.text, values_of(field, self.original.owner.facts, self.original.lang))


@cache
def original(number: int) -> Original:
    """Return the passage of a number, which is always the same."""
    choose = random.Random(f"translated {number}")
    owner = invent(choose, spliced=_SPLICED)
    section = choose.choice([section for section in SECTIONS if stated(section, owner.facts)])
    variants = tuple(choose.randrange(VARIANTS) for _ in SECTIONS[section])
    lang = choose.choice(LANGS)
    others = [other for other in LANGS if other != lang]
    source = "en" if lang != "en" and choose.random() < _FROM_ENGLISH else choose.choice(others)
    return Original(owner, section, variants, source, lang)


def write(path: Path, translator: Path, count: int) -> None:
    """Translate the passages of the first `count` numbers into `path`, with the model in the folder `translator`."""
    path.write_text(json.dumps(asyncio.run(_translate(translator, count)), ensure_ascii=False), "utf-8")


async def _translate(folder: Path, count: int) -> list[str]:
    by_lang: dict[str, list[int]] = defaultdict(list)
    for number in range(count):
        by_lang[original(number).lang].append(number)
    texts = [""] * count
    translator = NllbTranslator(str(folder))
    for lang, numbers in by_lang.items():
        each = [original(number) for number in numbers]
        made = await translator.translate(
            [o.written(o.source) for o in each], [Lang(o.source) for o in each], Lang(lang)
        )
        for number, translation in zip(numbers, made, strict=True):
            texts[number] = translation.text
    return texts


def read(path: Path) -> dict[str, list[Translated]]:
    """Return what `write` wrote, by language, without translations whose sentences are not those of their originals."""
    by_lang: dict[str, list[Translated]] = defaultdict(list)
    for number, text in enumerate(json.loads(path.read_text("utf-8"))):
        whose = original(number)
        if (wrong := wrong_share(whose, text)) is not None:
            by_lang[whose.lang].append(Translated(whose, text, wrong))
    return by_lang


def wrong_share(whose: Original, text: str) -> float | None:
    """Return the share of a translation's sentences that lack the name or a value; None if their number is another."""
    lang, (name, facts) = whose.lang, whose.owner
    said = [sentence for sentence, _ in sentences(text, Lang(lang))]
    fields = whose.stated()
    if len(said) != 1 + len(fields):
        return None
    wrong = int(said[0].rstrip(".") != name[lang])
    for field, variant, sentence in zip(fields, whose.variants, said[1:], strict=False):
        right = statement(field, variant, lang, name, facts)
        forms = [form for form in (name[lang], genitive(name[lang])) if form and form in right]
        named = not forms or any(_has(sentence, [form]) for form in forms)
        wrong += not (named and _has(sentence, values_of(field, facts, lang)))
    return wrong / len(said)


def _has(text: str, values: Sequence[str]) -> bool:
    return all(value.casefold() in text.casefold() for value in values)
