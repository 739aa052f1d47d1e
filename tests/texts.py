"""Parallel sentences in four languages, for the tokenizers, tiny models and indexes of the tests."""

from __future__ import annotations

import random
from typing import NamedTuple

LANGS = ("en", "ko", "fi", "zh")

CITIES = {
    "en": ["Helsinki", "Seoul", "Beijing", "Turku", "Busan", "Shanghai", "Lisbon", "Boston"],
    "ko": ["헬싱키", "서울", "베이징", "투르쿠", "부산", "상하이", "리스본", "보스턴"],
    "fi": ["Helsinki", "Soul", "Peking", "Turku", "Busan", "Shanghai", "Lissabon", "Boston"],
    "zh": ["赫尔辛基", "首尔", "北京", "图尔库", "釜山", "上海", "里斯本", "波士顿"],
}
YEARS = ["1848", "1903", "1917", "1950", "1969", "1988", "1994", "2002", "2011", "2018"]
SENTENCES = {
    "en": [
        "The oldest bridge of the city {city} was opened in the year {year}.",
        "A great fire broke out in the city {city} in the year {year}.",
        "In the year {year} a new library was built in the city {city}.",
        "The museum of the city {city} has collected maps since the year {year}.",
        "The harbour of the city {city} froze over in the winter of {year}.",
    ],
    "ko": [
        "{city} 시에서 가장 오래된 다리는 {year}년에 개통되었다.",
        "{year}년에 {city} 시에서 큰 화재가 발생했다.",
        "{year}년에 {city} 시에 새 도서관이 지어졌다.",
        "{city} 시의 박물관은 {year}년부터 지도를 수집해 왔다.",
        "{city} 시의 항구는 {year}년 겨울에 얼어붙었다.",
    ],
    "fi": [
        "Kaupungin {city} vanhin silta avattiin vuonna {year}.",
        "Kaupungissa nimeltä {city} syttyi suurpalo vuonna {year}.",
        "Vuonna {year} kaupunkiin nimeltä {city} rakennettiin uusi kirjasto.",
        "Kaupungin {city} museo on kerännyt karttoja vuodesta {year}.",
        "Kaupungin {city} satama jäätyi talvella {year}.",
    ],
    "zh": [
        "{city}市最古老的桥于{year}年通车。",
        "{year}年{city}市发生了一场大火。",
        "{year}年{city}市建成了一座新图书馆。",
        "{city}市的博物馆从{year}年起收藏地图。",
        "{city}市的港口在{year}年冬天结冰。",
    ],
}


class Fact(NamedTuple):
    """One sentence, available in all four languages."""

    city: int
    year: str
    sentence: int

    def say(self, lang: str) -> str:
        return SENTENCES[lang][self.sentence].format(city=CITIES[lang][self.city], year=self.year)


def facts(n: int, seed: int) -> list[Fact]:
    r = random.Random(seed)
    return [Fact(r.randrange(len(CITIES["en"])), r.choice(YEARS), r.randrange(len(SENTENCES["en"]))) for _ in range(n)]


def sentences(lang: str, n: int, seed: int = 0) -> list[str]:
    return [fact.say(lang) for fact in facts(n, seed)]


def paragraph(lang: str, n: int, seed: int = 0) -> str:
    return ("" if lang == "zh" else " ").join(sentences(lang, n, seed))
