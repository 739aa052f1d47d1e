"""Tell Japanese, Simplified and Traditional Chinese apart by the characters of a text without kana."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Literal, NamedTuple

from qttrag.text.scripts import script_of
from qttrag.types import Lang

JA, ZH = Lang("ja"), Lang("zh")
_MOST_WITHOUT_KANA = 16  # characters; longer Japanese texts have kana
_CANTONESE = frozenset("嘅喺咗啲哋冇嚟嗰嘢唔佢㗎")
_JIS_LEVEL_1 = range(0xB0, 0xD0)  # the first byte of its characters in EUC-JP


class HanEvidence(NamedTuple):
    """What the characters of a text say. `langs`: the languages it may be in, Japanese or Chinese.

    `script`: of a Chinese text, "Hans" or "Hant"; None if its characters are the same in both. `cantonese`: it has
    characters of written Cantonese."""

    langs: frozenset[Lang]
    script: Literal["Hans", "Hant"] | None
    cantonese: bool = False


class _Standards(NamedTuple):
    """Whether a character is common in mainland China (GB 2312), in Taiwan (Big5, with Microsoft's additions), and in
    Japan (level 1 of JIS X 0208; level 2 has the old forms, such as 國 and 學)."""

    mainland: bool
    taiwan: bool
    japan: bool


def evidence(text: str) -> HanEvidence:
    """Return what the Han characters of a text say.

    A character that is common in Japan alone (駅, 働) is Japanese; one that is common in China alone (们, 國) is
    Chinese. A text with both simplified and traditional characters, as 東京大学, is Japanese, which simplified some
    of them. Other texts, such as 人口, may be either, up to 16 characters."""
    if not _CANTONESE.isdisjoint(text):
        return HanEvidence(frozenset((ZH,)), "Hant", cantonese=True)
    kinds: Counter[_Standards] = Counter(_standards(c) for c in text if script_of(c) == "Hani")
    simplified = sum(n for kind, n in kinds.items() if kind.mainland and not kind.taiwan)
    traditional = sum(n for kind, n in kinds.items() if kind.taiwan and not kind.mainland)
    japanese = kinds[_Standards(mainland=False, taiwan=False, japan=True)]
    chinese = sum(n for kind, n in kinds.items() if not kind.japan and (kind.mainland or kind.taiwan))
    script: Literal["Hans", "Hant"] | None = None
    if simplified != traditional:
        script = "Hans" if simplified > traditional else "Hant"
    if chinese > japanese:
        return HanEvidence(frozenset((ZH,)), script)
    if japanese > chinese or (simplified and traditional):
        return HanEvidence(frozenset((JA,)), None)
    langs = (ZH,) if kinds.total() > _MOST_WITHOUT_KANA else (JA, ZH)
    return HanEvidence(frozenset(langs), script)


@functools.lru_cache(maxsize=30_000)
def _standards(character: str) -> _Standards:
    japanese = _encoded(character, "euc_jp")
    return _Standards(
        mainland=bool(_encoded(character, "gb2312")),
        taiwan=bool(_encoded(character, "cp950")),
        japan=len(japanese) == 2 and japanese[0] in _JIS_LEVEL_1,
    )


def _encoded(character: str, codec: str) -> bytes:
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        return b""
