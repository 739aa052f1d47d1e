"""Invented territories: real names with shuffled facts, so that only a passage has the answer."""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from demo.facts import LANGS, Name, areas, continent, date, day_name, names_by_kind, percentage, same, sheets

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Territory(NamedTuple):
    name: Name
    facts: Mapping[str, Name]


@cache
def pools() -> Mapping[str, list[Name]]:
    """Return the names for training, by kind: territory, language, currency, city."""
    found: dict[str, list[Name]] = {"territory": [sheet.name for sheet in sheets() if sheet.split == "train"]}
    for kind, name in names_by_kind():
        found.setdefault(kind, []).append(name)
    return found


def invent(choose: random.Random, *, spliced: float = 0.0) -> Territory:
    """Return a territory with all facts; a share of its names, `spliced`, joins halves of two names."""
    kinds = ("territory", "territory", "territory", "city", "language")
    name = pick(choose, choose.choice(kinds), spliced)
    area = choose.choice(areas())
    day = choose.randrange(7)
    main, second = sorted((choose.randrange(2, 101), choose.randrange(2, 101)), reverse=True)
    languages = [pick(choose, "language", spliced) for _ in range(2)]
    code = "".join(choose.choices(_LETTERS, k=2))
    facts = {
        "continent": continent(area),
        "code": same(code),
        "main_language": languages[0],
        "share": percentage(main),
        "second_language": languages[1],
        "second_share": percentage(second),
        "currency": pick(choose, "currency", spliced),
        "currency_since": same(str(choose.randrange(1780, 2026))),
        "currency_code": same("".join(choose.choices(_LETTERS, k=3))),
        "currency_before": pick(choose, "currency", spliced),
        "currency_until": date(datetime.date(1900, 1, 1) + datetime.timedelta(days=choose.randrange(45_000))),
        "city": pick(choose, "city", spliced),
        "week_start": day_name(day),
        "weekend_start": day_name((day + choose.randrange(1, 7)) % 7),
    }
    facts["official_language"] = choose.choice([languages[0], pick(choose, "language", spliced)])
    for optional in ("official_language", "second_language", "currency_since", "city", "continent"):
        if choose.random() < 0.2:
            del facts[optional]
    return Territory(name, facts)


def pick(choose: random.Random, kind: str, spliced: float) -> Name:
    """Return a name of a kind or, with probability `spliced`, one that joins halves of two names."""
    names = pools()[kind]
    name = choose.choice(names)
    if choose.random() >= spliced:
        return name
    other = choose.choice(names)
    return {lang: splice(name[lang], other[lang]) for lang in LANGS}


def splice(head: str, tail: str) -> str:
    """Return the first half of one name with the second half of another."""
    return (head[: (len(head) + 1) // 2] + tail[len(tail) // 2 :]).strip()


def garble(choose: random.Random, text: str) -> str:
    """Return a misspelt name, as from a weak translator: one or two characters missing, doubled or replaced."""
    characters = list(text)
    for _ in range(choose.randint(1, 2)):
        place = choose.randrange(len(characters))
        if characters[place] != " ":
            characters[place] = choose.choice(["", characters[place] * 2, choose.choice(text.replace(" ", "") or text)])
    garbled = "".join(characters).strip()
    return garbled or text


def namesake(choose: random.Random, name: Name, lang: str) -> Name | None:
    """Return another name of the same kind that ends with the same word (Chinese: two characters); None without one."""
    kind, end = _kinds().get(tuple(name.values())), _end(name[lang], lang)
    others = [other for other in pools()[kind] if _end(other[lang], lang) == end and other != name] if kind else []
    return choose.choice(others) if others else None


def like(choose: random.Random, name: Name) -> Name:
    """Return another name that shares more pairs of letters with `name` in English than eleven others do."""
    pairs = _pairs(name["en"])
    drawn = [pick(choose, choose.choice(("territory", "territory", "city", "language")), 0.3) for _ in range(12)]
    return max((each for each in drawn if each != name), key=lambda each: _shared(pairs, _pairs(each["en"])))


def _pairs(text: str) -> set[str]:
    letters = f" {text.lower()} "
    return {letters[n : n + 2] for n in range(len(letters) - 1)}


def _shared(one: set[str], other: set[str]) -> float:
    return len(one & other) / (len(one) + len(other))


def _end(name: str, lang: str) -> str:
    return name[-2:] if lang == "zh" else name.split(" ")[-1]


@cache
def _kinds() -> Mapping[tuple[str, ...], str]:
    return {tuple(name.values()): kind for kind, names in pools().items() for name in names}
