"""The training tasks of the demo's language model: answer from passages, score translations, refine passages.

Everything is put with the product's own prompts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from demo.corpus import (
    RELATIONS,
    SECTIONS,
    VARIANTS,
    answers,
    question_text,
    section_text,
    stated,
    statement,
    templates,
)
from demo.facts import LANGS, Name
from demo.grammar import genitive
from demo.invented import Territory, garble, invent, splice
from qttrag.prompts import Prompts, Style
from qttrag.types import Lang, Message, Passage, QualityScores, TaggedPassage

_PROMPTS = Prompts()
_UNKNOWN_SHARE = 0.12
_BRANCHES = 8  # questions about the same passages, or translations of the same original


class Reading(NamedTuple):
    """Where the reader of a turn should look, as pieces of its chat.

    `passages`: title and body of each, as "Title. text". `asked`: the subject, as the question has it. `holding`: which
    passage holds the answer, None where none does, and `value`: the answer as it stands there."""

    passages: list[tuple[str, str]]
    asked: str
    holding: int | None
    value: str


class Turn(NamedTuple):
    """One chat and the reply to learn."""

    messages: list[Message]
    reply: str
    reading: Reading | None = None


class _Asked(NamedTuple):
    """A question about a context, and the part of it with the answer, None if there is none."""

    question: str
    relation: str
    subject: Name
    source: _Told | None


class _Told(NamedTuple):
    """A passage of a context: its territory, its facts and its text."""

    owner: Territory
    section: str
    passage: TaggedPassage
    title: str
    written: str

    @property
    def body(self) -> str:
        return self.passage.translation or self.passage.passage.content


def lesson(choose: random.Random, *, most_passages: int) -> list[Turn]:
    """Return turns that share the beginning of their chat: one context asked about, or one original translated."""
    kind = choose.random()
    if kind < 0.68:
        return _reading(choose, most_passages)
    return _scoring(choose) if kind < 0.92 else _rewriting(choose)


def _variants(choose: random.Random, section: str) -> list[int]:
    return [choose.randrange(VARIANTS) for _ in SECTIONS[section]]


def _content(lang: str, name: Name, text: str) -> str:
    return Passage("", text, Lang(lang), title=name[lang]).content


def _source_for(choose: random.Random, lang: str) -> str:
    return (
        "en" if lang != "en" and choose.random() < 0.7 else choose.choice([other for other in LANGS if other != lang])
    )


# Answering


def _reading(choose: random.Random, most_passages: int) -> list[Turn]:
    lang = choose.choice(LANGS)
    manner = choose.choices(("tagged", "plain", "foreign", "refined"), (0.5, 0.2, 0.2, 0.1))[0]
    told = _context(choose, lang, manner, max(choose.randint(1, most_passages) for _ in range(2)))
    prompt, tag = _PROMPTS.answer(Lang(lang)), _PROMPTS.tag(Lang(lang))
    tagged: Style = "tagged" if choose.random() < 0.9 else "tagged_without_scores"
    style: Style = tagged if manner == "tagged" else "plain"
    asked = [_ask(choose, lang, told) for _ in range(_BRANCHES)]
    blocks = []
    for n, item in enumerate(told, 1):
        blocks.append(prompt.block(n, item.passage, item.body, style=style, tag=tag))
        if manner == "refined":
            blocks.append(prompt.refined(n, _rewritten(lang, asked[0].relation, item)))
    passages = [(item.title, item.body) for item in told]
    turns = []
    for question, relation, subject, source in asked:
        messages = prompt.messages(question, blocks, style=style)
        name = subject[lang] if subject[lang] in question else genitive(subject[lang]) or subject[lang]
        if source is None:
            turns.append(Turn(messages, prompt.unknown, Reading(passages, name, None, "")))
            continue
        facts = source.owner.facts
        reading = Reading(passages, name, told.index(source), facts[relation][source.written])
        turns.append(Turn(messages, answers(relation, lang, facts)[0], reading))
    return turns


def _context(choose: random.Random, lang: str, manner: str, size: int) -> list[_Told]:
    spliced = 0.0 if manner == "foreign" else choose.choice([0.0, 0.3, 1.0])
    first = invent(choose, spliced=spliced)
    owners = [first]
    alike = choose.random() < 0.6  # as in search results: the same subject for many territories
    plan: list[tuple[Territory, str]] = []
    while len(plan) < size:
        if choose.random() < (0.15 if alike else 0.45):
            owner = choose.choice(owners)
        else:
            owner = invent(choose, spliced=spliced)
            if choose.random() < 0.3:  # a name that begins like the first one's
                owner = owner._replace(name={each: splice(first.name[each], owner.name[each]) for each in LANGS})
            owners.append(owner)
        section = plan[0][1] if alike and plan and choose.random() < 0.8 else choose.choice(list(SECTIONS))
        if (owner, section) not in plan and stated(section, owner.facts):
            plan.append((owner, section))
    told = [_tell(choose, lang, manner, owner, section) for owner, section in plan]
    if manner == "tagged" and len(told) > 1 and choose.random() < 0.5:
        told[choose.randrange(1, len(told))] = _contradiction(choose, lang, told[0])
    choose.shuffle(told)
    return told


def _tell(choose: random.Random, lang: str, manner: str, owner: Territory, section: str) -> _Told:
    written = lang
    if manner == "foreign" and choose.random() < 0.8:
        written = _source_for(choose, lang)
    text = section_text(section, _variants(choose, section), written, owner.name, owner.facts)
    tagged = TaggedPassage(Passage("", text, Lang(written), title=owner.name[written]))
    if manner != "tagged" or choose.random() < 0.35:
        return _Told(owner, section, tagged, owner.name[written], written)
    scores = _scores(choose, choose.choice([4.0, 5.0, 5.0, 3.0]))
    name = owner.name
    if choose.random() < 0.3:  # the name misspelt throughout, as by a weak translator
        name = {**name, lang: garble(choose, name[lang])}
        text = section_text(section, _variants(choose, section), lang, name, owner.facts)
    original = replace(tagged.passage, lang=Lang("de"))
    tagged = replace(tagged, passage=original, translation=_content(lang, name, text), scores=scores)
    return _Told(owner, section, tagged, name[lang], lang)


def _scores(choose: random.Random, level: float) -> QualityScores | None:
    if choose.random() < 0.05:
        return None
    drawn = [round(min(5.0, max(0.0, choose.gauss(level, 0.5))), 1) for _ in range(3)]
    return QualityScores(*drawn)


def _contradiction(choose: random.Random, lang: str, told: _Told) -> _Told:
    """Return a passage that says otherwise and deserves less trust: a translation, worse than `told` if that is one."""
    other = invent(choose)
    facts = {field: other.facts.get(field, value) for field, value in told.owner.facts.items()}
    text = section_text(told.section, _variants(choose, told.section), lang, told.owner.name, facts)
    is_original = told.passage.translation is None
    best = told.passage.scores.semantic if told.passage.scores else 5.0 if is_original else 1.5
    level = choose.uniform(0.0, max(0.0, best - 1.5))
    scores = QualityScores(*(round(min(5.0, max(0.0, level + choose.uniform(-0.3, 0.3))), 1) for _ in range(3)))
    passage = TaggedPassage(
        Passage("", text, Lang("de"), title=told.owner.name[lang]),
        translation=_content(lang, told.owner.name, text),
        scores=scores,
    )
    return _Told(told.owner, "", passage, told.owner.name[lang], lang)


def _ask(choose: random.Random, lang: str, told: Sequence[_Told]) -> _Asked:
    holding = [item for item in told if item.section and _asked_of(item)]
    variant = choose.randrange(VARIANTS)
    if not holding or choose.random() < _UNKNOWN_SHARE:
        owner = choose.choice(told).owner if choose.random() < 0.5 else invent(choose)
        absent = [r for r, section in RELATIONS.items() if (owner, section) not in [(t.owner, t.section) for t in told]]
        relation = choose.choice(absent or list(RELATIONS))
        if absent:
            return _Asked(question_text(relation, variant, lang, owner.name), relation, owner.name, None)
    item = choose.choice(holding)
    relation = choose.choice(_asked_of(item))
    question = question_text(relation, variant, lang, item.owner.name)
    return _Asked(question, relation, item.owner.name, item)


def _asked_of(item: _Told) -> list[str]:
    return [r for r, section in RELATIONS.items() if section == item.section and r in item.owner.facts]


# Refining


def _rewriting(choose: random.Random) -> list[Turn]:
    lang = choose.choice(LANGS)
    told = _context(choose, lang, "plain", 1)[0]
    prompt = _PROMPTS.refine(Lang(lang))
    turns = []
    for _ in range(_BRANCHES // 2):
        ask = _ask(choose, lang, [told])
        chat = prompt.messages(ask.question, told.passage.passage.content)
        turns.append(Turn(chat, _rewritten(lang, ask.relation, told)))
    return turns


_STATED_WITH = {"share": "main_language"}


def _rewritten(lang: str, relation: str, told: _Told) -> str:
    """Return the sentence that answers, or the first one: a fixed wording, with the name where it has one."""
    fields = stated(told.section, told.owner.facts) if told.section else []
    field = _STATED_WITH.get(relation, relation)
    if field in fields:
        return statement(field, 0, lang, told.owner.name, told.owner.facts)
    return statement(fields[0], 0, lang, told.owner.name, told.owner.facts) if fields else told.owner.name[lang]


# Scoring


class Damaged(NamedTuple):
    """A translation with the share of its sentences that are wrong, ungrammatical and unnatural."""

    text: str
    wrong: float
    ungrammatical: float
    unnatural: float

    @property
    def scores(self) -> QualityScores:
        return QualityScores(
            *(round(5.0 * (1.0 - share), 1) for share in (self.wrong, self.ungrammatical, self.unnatural))
        )


DAMAGES = ("name", "value", "number", "omission", "untranslated", "order", "repetition", "wrong language")


def _scoring(choose: random.Random) -> list[Turn]:
    lang = choose.choice(LANGS)
    source = _source_for(choose, lang)
    owner = invent(choose)
    section = choose.choice([s for s in SECTIONS if stated(s, owner.facts)])
    variants = _variants(choose, section)
    original = _content(source, owner.name, section_text(section, variants, source, owner.name, owner.facts))
    prompt = _PROMPTS.tag(Lang(lang))
    turns = []
    for _ in range(_BRANCHES - 1):
        count = choose.choices((0, 1, 2, 3), (0.3, 0.4, 0.2, 0.1))[0]
        damaged = damage(choose, owner, section, variants, source, lang, choose.sample(DAMAGES, count))
        turns.append(Turn(prompt.messages(original, damaged.text, Lang(source)), reply(damaged.scores)))
    return turns


def reply(scores: QualityScores) -> str:
    return f'{{"semantic": {scores.semantic:.1f}, "grammar": {scores.grammar:.1f}, "fluency": {scores.fluency:.1f}}}'


def damage(
    choose: random.Random,
    owner: Territory,
    section: str,
    variants: Sequence[int],
    source: str,
    lang: str,
    damages: Sequence[str],
) -> Damaged:
    """Return the translation of a passage with the named kinds of damage; a damaged sentence counts once per score."""
    if "wrong language" in damages:
        third = choose.choice([other for other in LANGS if other not in (source, lang)])
        return Damaged(
            _content(third, owner.name, section_text(section, variants, third, owner.name, owner.facts)), 1, 1, 1
        )
    name, facts, other = owner.name, dict(owner.facts), invent(choose)
    fields = stated(section, facts)
    wrong: set[int] = set()
    if "name" in damages:
        name = choose.choice([other.name, {**name, lang: garble(choose, garble(choose, name[lang]))}])
    if "value" in damages:
        spoiled = choose.randrange(len(fields))
        facts = _swapped(choose, facts, other.facts, fields[spoiled])
    sentences = [f"{name[lang]}."]
    kept = [f"{owner.name[lang]}."]
    for field, variant in zip(fields, variants, strict=False):
        sentences.append(statement(field, variant, lang, name, facts))
        kept.append(statement(field, variant, lang, owner.name, owner.facts))
    wrong |= {n for n, (now, before) in enumerate(zip(sentences, kept, strict=True)) if now != before}
    ungrammatical: set[int] = set()
    unnatural: set[int] = set()
    total = len(sentences)
    if "number" in damages and (places := [n for n, s in enumerate(sentences) if any(c.isdigit() for c in s)]):
        place = choose.choice(places)
        sentences[place] = "".join(choose.choice("0123456789") if c.isdigit() else c for c in sentences[place])
        wrong |= {place} if sentences[place] != kept[place] else set()
    if "untranslated" in damages:
        place = choose.randrange(1, total)
        sentences[place] = statement(fields[place - 1], variants[place - 1], source, owner.name, owner.facts)
        for spoiled_set in (wrong, ungrammatical, unnatural):
            spoiled_set.add(place)
    if "order" in damages:
        place = choose.randrange(1, total)
        sentences[place] = _shuffled(choose, sentences[place], lang)
        ungrammatical.add(place)
        unnatural.add(place)
    if "repetition" in damages:
        place = choose.randrange(total)
        sentences[place] = templates(lang).separator.join([sentences[place]] * choose.randint(2, 3))
        unnatural.add(place)
    if "omission" in damages:
        place = choose.randrange(1, total)
        sentences[place] = ""
        wrong.add(place)
    text = " ".join(filter(None, (sentences[0], templates(lang).separator.join(filter(None, sentences[1:])))))
    return Damaged(text, len(wrong) / total, len(ungrammatical) / total, len(unnatural) / total)


def _swapped(
    choose: random.Random, facts: Mapping[str, Name], others: Mapping[str, Name], field: str
) -> dict[str, Name]:
    return {**facts, field: others.get(field, facts[field])}


def _shuffled(choose: random.Random, sentence: str, lang: str) -> str:
    if lang == "zh":
        cut = choose.randrange(1, max(2, len(sentence) - 1))
        return sentence[cut:-1] + sentence[:cut] + sentence[-1]
    words = sentence[:-1].split()
    choose.shuffle(words)
    return " ".join(words) + sentence[-1]
