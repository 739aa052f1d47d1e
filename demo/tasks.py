"""The training tasks of the demo's language model: answer from passages, score translations, refine passages.

Everything is put with the product's own prompts. Translations are those of the demo's translator with its errors
(`translated.py`), and right ones that are damaged on purpose."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
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
from demo.invented import Territory, garble, invent, like, namesake, splice
from demo.outside import another_subject
from demo.translated import Translated
from qttrag.prompts import Prompts, Style
from qttrag.types import Lang, Message, Passage, QualityScores, TaggedPassage

_PROMPTS = Prompts()
_UNKNOWN_SHARE = 0.16
_ANOTHER_SUBJECT = 0.08  # share of the questions
_REAL = 0.6  # share of the passages shown with scores, and of the scored, that the demo's translator translated
_NEXT_RANK = 0.6  # how much less likely the next passage has the answer: they come in the order of the search
_BRANCHES = 8  # questions about the same passages, or translations of the same original


class Reading(NamedTuple):
    """Where the reader of a turn should look, as pieces of its chat.

    `passages`: title and body of each, as "Title. text". `asked`: the subject, as the question has it. `holding`: which
    passage holds the answer, None where none does, and `value`: the answer as it stands there."""

    passages: list[tuple[str, str]]
    asked: str
    holding: int | None
    value: str


Translations = Mapping[str, Sequence[Translated]]
"""Real translations by the language that they are in."""


class Turn(NamedTuple):
    """One chat and the reply to learn."""

    messages: list[Message]
    reply: str
    reading: Reading | None = None


class _Asked(NamedTuple):
    """A question about a context, and the part of it with the answer, None if there is none."""

    question: str
    relation: str
    subject: str
    source: _Told | None


class _Told(NamedTuple):
    """A passage of a context: its territory, its facts and its text. `relations`: those that it states rightly."""

    owner: Territory
    section: str
    passage: TaggedPassage
    title: str
    written: str
    relations: Sequence[str]

    @property
    def body(self) -> str:
        return self.passage.translation or self.passage.passage.content


def lesson(
    choose: random.Random, *, most_passages: int, translations: Translations = MappingProxyType({})
) -> list[Turn]:
    """Return turns that share the beginning of their chat: one context asked about, or one original translated."""
    kind = choose.random()
    if kind < 0.62:
        return _reading(choose, most_passages, translations)
    return _scoring(choose, translations) if kind < 0.94 else _rewriting(choose)


def _variants(choose: random.Random, section: str) -> list[int]:
    return [choose.randrange(VARIANTS) for _ in SECTIONS[section]]


def _content(lang: str, name: Name, text: str) -> str:
    return Passage("", text, Lang(lang), title=name[lang]).content


def _source_for(choose: random.Random, lang: str) -> str:
    return (
        "en" if lang != "en" and choose.random() < 0.7 else choose.choice([other for other in LANGS if other != lang])
    )


# Answering


def _reading(choose: random.Random, most_passages: int, translations: Translations) -> list[Turn]:
    lang = choose.choice(LANGS)
    manner = choose.choices(("tagged", "plain", "foreign", "refined"), (0.5, 0.2, 0.2, 0.1))[0]
    told = _context(choose, lang, manner, max(choose.randint(1, most_passages) for _ in range(2)))
    if manner == "tagged" and translations:
        told = [_as_translated(choose, translations[lang], item) for item in told]
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
    for question, relation, name, source in asked:
        messages = prompt.messages(question, blocks, style=style)
        if choose.random() < _ANOTHER_SUBJECT:
            turns.append(Turn(prompt.messages(another_subject(choose, lang), blocks, style=style), prompt.unknown))
            continue
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
            likeness = choose.random()
            if likeness < 0.25:  # a name that begins like the first one's
                owner = owner._replace(name={each: splice(first.name[each], owner.name[each]) for each in LANGS})
            elif likeness < 0.75:  # or sounds like it, as those that an encoder ranks beside it
                owner = owner._replace(name=like(choose, first.name))
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
        return _Told(owner, section, tagged, owner.name[written], written, _relations(section, owner))
    scores = _scores(choose, choose.choice([4.0, 5.0, 5.0, 3.0]))
    name = owner.name
    if choose.random() < 0.3:  # the name misspelt throughout, as by a weak translator
        name = {**name, lang: garble(choose, name[lang])}
        text = section_text(section, _variants(choose, section), lang, name, owner.facts)
    original = replace(tagged.passage, lang=Lang("de"))
    tagged = replace(tagged, passage=original, translation=_content(lang, name, text), scores=scores)
    return _Told(owner, section, tagged, name[lang], lang, _relations(section, owner))


def _as_translated(choose: random.Random, translations: Sequence[Translated], told: _Told) -> _Told:
    """Return a real translation of another passage instead of `told` if that is a translation and is to be replaced.

    Its scores tell how much of it is wrong, but not reliably, as those of a tagger."""
    if told.passage.translation is None or not told.section or choose.random() >= _REAL:
        return told
    made = choose.choice(translations)
    (owner, section, _, source, lang), text = made.original, made.text
    level = 5.0 * (1.0 - made.wrong) if choose.random() < 0.7 else choose.uniform(1.0, 5.0)
    passage = Passage("", made.original.written(source), Lang(source))
    tagged = TaggedPassage(passage, translation=text, scores=_scores(choose, level))
    relations = [relation for relation in _relations(section, owner) if made.states(relation)]
    return _Told(owner, section, tagged, text.partition(".")[0], lang, relations)


def _relations(section: str, owner: Territory) -> list[str]:
    return [relation for relation, its in RELATIONS.items() if its == section and relation in owner.facts]


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
    return _Told(told.owner, "", passage, told.owner.name[lang], lang, ())


def _ask(choose: random.Random, lang: str, told: Sequence[_Told]) -> _Asked:
    holding = [item for item in told if item.relations]
    if not holding or choose.random() < _UNKNOWN_SHARE:
        return _ask_in_vain(choose, lang, told)
    likely = [_NEXT_RANK ** told.index(item) for item in holding]
    (item,) = choose.choices(holding, likely)
    return _asked(choose, lang, choose.choice(item.relations), item.owner.name, item)


def _ask_in_vain(choose: random.Random, lang: str, told: Sequence[_Told]) -> _Asked:
    """Return a question about a fact that no passage has, or about a territory that none is about."""
    named = [(item.owner, item.section) for item in told]
    owner = choose.choice(told).owner
    absent = [relation for relation, section in RELATIONS.items() if (owner, section) not in named]
    if absent and choose.random() < 0.4:
        return _asked(choose, lang, choose.choice(absent), owner.name, None)
    stranger = invent(choose).name
    if choose.random() < 0.4:  # a name that begins like one of theirs
        stranger = {each: splice(owner.name[each], stranger[each]) for each in LANGS}
    sections = [item.section for item in told if item.section]
    likely = [relation for relation, section in RELATIONS.items() if section in sections]
    return _asked(choose, lang, choose.choice(likely or list(RELATIONS)), stranger, None)


def _asked(choose: random.Random, lang: str, relation: str, name: Name, source: _Told | None) -> _Asked:
    question = question_text(relation, choose.randrange(VARIANTS), lang, name)
    subject = name[lang] if name[lang] in question else genitive(name[lang]) or name[lang]
    return _Asked(question, relation, subject, source)


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


def _scoring(choose: random.Random, translations: Translations) -> list[Turn]:
    lang = choose.choice(LANGS)
    real = choose.choice(translations[lang]) if translations and choose.random() < _REAL else None
    if real:
        owner, section, variants, source, _ = real.original
    else:
        source = _source_for(choose, lang)
        owner = invent(choose)
        section = choose.choice([s for s in SECTIONS if stated(s, owner.facts)])
        variants = tuple(_variants(choose, section))
    original = _content(source, owner.name, section_text(section, variants, source, owner.name, owner.facts))
    prompt = _PROMPTS.tag(Lang(lang))
    candidates = [Damaged(real.text, real.wrong, 0, 0)] * 2 if real else []
    while len(candidates) < _BRANCHES - 1:
        if real and choose.random() < 0.7:
            damages = [choose.choice((None, "name", "value"))]
        else:
            damages = choose.sample(DAMAGES, choose.choices((0, 1, 2, 3), (0.3, 0.4, 0.2, 0.1))[0])
        kinds = [kind for kind in damages if kind]
        candidates.append(damage(choose, owner, section, variants, source, lang, kinds))
    choose.shuffle(candidates)
    return [Turn(prompt.messages(original, each.text, Lang(source)), reply(each.scores)) for each in candidates]


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
        misspelt = garble(choose, name[lang]) if choose.random() < 0.5 else garble(choose, garble(choose, name[lang]))
        name = choose.choice([other.name, {**name, lang: misspelt}, {**name, lang: misspelt}])
    if "value" in damages:
        spoiled = choose.randrange(len(fields))
        facts = _swapped(choose, facts, other.facts, fields[spoiled], lang)
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
    choose: random.Random, facts: Mapping[str, Name], others: Mapping[str, Name], field: str, lang: str
) -> dict[str, Name]:
    """Return the facts with another value of a field: often one with a word in common, such as two kinds of franc."""
    alike = namesake(choose, facts[field], lang) if choose.random() < 0.6 else None
    return {**facts, field: alike or others.get(field, facts[field])}


def _shuffled(choose: random.Random, sentence: str, lang: str) -> str:
    if lang == "zh":
        cut = choose.randrange(1, max(2, len(sentence) - 1))
        return sentence[cut:-1] + sentence[:cut] + sentence[-1]
    words = sentence[:-1].split()
    choose.shuffle(words)
    return " ".join(words) + sentence[-1]
