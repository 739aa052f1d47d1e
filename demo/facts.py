"""Facts about territories in the languages of the demo, from the Unicode CLDR data in Babel."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from babel import Locale
from babel.core import get_global
from babel.dates import format_date
from babel.lists import format_list
from babel.localedata import locale_identifiers
from babel.numbers import format_percent, get_currency_name

LANGS = ("en", "ko", "fi", "zh")
SEED = 2026
Split = Literal["train", "dev", "test"]
Name = Mapping[str, str]
"""A name or value by language."""

_NOT_A_PLACE = {"ZZ", "EU", "EZ", "UN", "QO"}
_CONTINENTS = {"Africa": "002", "America": "019", "Asia": "142", "Europe": "150", "Pacific": "009"}
_SHARE_OF_A_MINORITY = 2.0  # %; languages of fewer people are not stated


@dataclass(frozen=True)
class Sheet:
    """The facts about one territory. `facts`: by field, the value in each language; unknown fields are absent.

    `covered`: the languages of the collections that have its article."""

    code: str
    name: Name
    facts: Mapping[str, Name]
    split: Split
    covered: tuple[str, ...]


@cache
def locale(lang: str) -> Locale:
    return Locale.parse(lang)


def same(text: str) -> Name:
    return dict.fromkeys(LANGS, text)


@cache
def sheets() -> tuple[Sheet, ...]:
    """Return the territories that CLDR names in all languages, by code. `SEED` determines splits and coverage."""
    codes = [code for code in sorted(get_global("territory_languages")) if _is_named(code)]
    shuffled = random.Random(SEED).sample(codes, len(codes))
    dev, test = len(codes) // 10, len(codes) // 4
    splits: dict[str, Split] = dict.fromkeys(codes, "train")
    splits.update(dict.fromkeys(shuffled[:dev], "dev"))
    splits.update(dict.fromkeys(shuffled[dev : dev + test], "test"))
    quarters = [("en", "ko"), ("en", "fi"), ("en", "zh"), ("en",)]
    covered = {
        code: quarters[n % 4] for n, code in enumerate(sorted(codes, key=lambda c: (splits[c], shuffled.index(c))))
    }
    return tuple(Sheet(code, _name(code), _facts(code), splits[code], covered[code]) for code in codes)


def _is_named(code: str) -> bool:
    known = all(code in locale(lang).territories for lang in LANGS)
    return known and len(code) == 2 and code not in _NOT_A_PLACE


def _name(code: str) -> Name:
    return {lang: _without_brackets(locale(lang).territories[code]) for lang in LANGS}


def _without_brackets(name: str) -> str:
    return name if name.endswith(("金）", "布）")) else name.split("(")[0].split("（")[0].strip()  # the two Congos


def _facts(code: str) -> dict[str, Name]:
    return {"code": same(code), **_languages(code), **_currencies(code), **_zone(code), **_week(code)}


def language_name(code: str) -> Name | None:
    """Return a language's name, or None if CLDR has no plain name in one of the demo's languages."""
    names = {lang: locale(lang).languages.get(code, "") for lang in LANGS}
    return names if all(name and not set(name) & set("(（,") for name in names.values()) else None


def _languages(code: str) -> dict[str, Name]:
    facts: dict[str, Name] = {}
    spoken = sorted(get_global("territory_languages")[code].items(), key=lambda item: -item[1]["population_percent"])
    named = [(name, info) for lang, info in spoken if (name := language_name(lang))]
    official = [name for name, info in named if info["official_status"] in ("official", "de_facto_official")]
    if len(official) == 1:
        facts["official_language"] = official[0]
    elif official:
        facts["official_languages"] = {
            lang: format_list([name[lang] for name in official[:4]], locale=lang) for lang in LANGS
        }
    complete = len(named) == len(spoken)  # otherwise the most common one may be missing
    for (name, info), field, share in zip(
        named, ("main_language", "second_language"), ("share", "second_share"), strict=False
    ):
        if complete and info["population_percent"] >= _SHARE_OF_A_MINORITY:
            facts |= {field: name, share: percentage(info["population_percent"])}
    return facts


def percentage(value: float) -> Name:
    return {lang: format_percent(round(value) / 100, locale=lang).replace("\N{NO-BREAK SPACE}", " ") for lang in LANGS}


def currency_name(code: str) -> Name | None:
    """Return a currency's name, or None if it lacks a name in a language or is distinguished by years only."""
    names = {lang: get_currency_name(code, count=1, locale=lang) for lang in LANGS}
    plain = all(name != code and not any(c.isdigit() or c in "(（" for c in name) for name in names.values())
    return names if plain else None


def _currencies(code: str) -> dict[str, Name]:
    facts: dict[str, Name] = {}
    history = [(c, start, end) for c, start, end, tender in get_global("territory_currencies").get(code, ()) if tender]
    now = [(c, start) for c, start, end in history if not end and start and currency_name(c)]
    if len(now) == 1:
        (current, start), name = now[0], currency_name(now[0][0])
        facts |= {"currency": name or {}, "currency_code": same(current), "currency_since": same(str(start[0]))}
    ended = sorted((end, c) for c, start, end in history if end and currency_name(c))
    if ended and now and ended[-1][1] != now[0][0]:
        end, before = ended[-1]
        facts |= {"currency_before": currency_name(before) or {}, "currency_until": date(datetime.date(*end))}
    return facts


def date(day: datetime.date) -> Name:
    return {lang: format_date(day, "long", locale=lang) for lang in LANGS}


def city_name(zone: str) -> Name | None:
    """Return the place that a time zone is named after, or None if CLDR has no Korean or Chinese name."""
    latin = zone.split("/")[-1].replace("_", " ")
    found = {lang: locale(lang).time_zones.get(zone, {}).get("city") for lang in LANGS}
    if not found["ko"] or not found["zh"] or "," in found["ko"] + (found["en"] or latin):
        return None
    return {lang: name or latin for lang, name in found.items()}


def _zone(code: str) -> dict[str, Name]:
    facts: dict[str, Name] = {}
    zones = get_global("territory_zones").get(code, [])
    areas = {zone.split("/")[0] for zone in zones}
    if len(areas) == 1 and (area := areas.pop()) in _CONTINENTS:
        facts["continent"] = continent(area)
    if len(zones) == 1 and (name := city_name(zones[0])):
        facts["city"] = name
    return facts


def continent(area: str) -> Name:
    """Return the name of the continent of the time zones of an area."""
    names = {lang: locale(lang).territories[_CONTINENTS[area]] for lang in LANGS}
    return names | {"en": "the Americas"} if area == "America" else names


def areas() -> tuple[str, ...]:
    return tuple(_CONTINENTS)


def day_name(day: int) -> Name:
    """Return the name of a day of the week; 0 is Monday."""
    return {lang: locale(lang).days["stand-alone"]["wide"][day] for lang in LANGS}


@cache
def _calendars() -> Mapping[str, Locale]:
    """Return one locale per territory: all locales of a territory have the same calendar."""
    found = [identifier for identifier in sorted(locale_identifiers()) if "_" in identifier]
    return {parsed.territory: parsed for parsed in map(Locale.parse, found) if parsed.territory}


def _week(code: str) -> dict[str, Name]:
    here = _calendars().get(code)
    if here is None:
        return {}
    return {"week_start": day_name(here.first_week_day), "weekend_start": day_name(here.weekend_start)}


def names_by_kind() -> Iterator[tuple[str, Name]]:
    """Yield the names of languages, currencies and places that occur with no held-out territory."""
    held_out = [sheet for sheet in sheets() if sheet.split != "train"]
    kept_back = {value["en"] for sheet in held_out for value in (sheet.name, *sheet.facts.values())}
    kept_back -= {value["en"] for sheet in sheets() if sheet.split == "train" for value in sheet.facts.values()}
    zones = {zone for zones in get_global("territory_zones").values() for zone in zones}
    held_zones = {zone for sheet in held_out for zone in get_global("territory_zones").get(sheet.code, ())}
    held_words = [word for sheet in held_out for word in [sheet.name["en"]]]
    for kind, found in (
        ("language", (language_name(code) for code in sorted(locale("en").languages))),
        ("currency", (currency_name(code) for code in sorted(locale("en").currencies))),
        ("city", (city_name(zone) for zone in sorted(zones - held_zones))),
    ):
        for name in found:
            if name and name["en"] not in kept_back and not any(word in name["en"] for word in held_words):
                yield kind, name


def alphabet() -> str:
    """Return all characters of names and texts in the demo's languages."""
    characters: set[str] = set()
    for lang in LANGS:
        names = [*locale(lang).languages.values(), *locale(lang).scripts.values(), *locale(lang).variants.values()]
        names += [*locale(lang).currencies.values(), *locale(lang).territories.values()]
        names += [zone["city"] for zone in locale(lang).time_zones.values() if "city" in zone]
        characters.update(*names)
    return "".join(sorted(character for character in characters if character.isprintable()))
