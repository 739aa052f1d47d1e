"""The grammar of names in sentences: Korean particles, Finnish genitives, English articles."""

from __future__ import annotations

import re

_PARTICLE = re.compile(r"(\S)(은\(는\)|이\(가\)|을\(를\)|과\(와\)|\(으\)로|\(이\)라)")
_LAST_SOUNDS = {**dict.fromkeys("036MN", "consonant"), **dict.fromkeys("178LR", "rieul")}
"""The final sounds of digits and Latin letters read out in Korean; all others end in a vowel."""

_IRREGULAR_GENITIVES = {"Suomi": "Suomen"}
_NO_SAFE_GENITIVE = re.compile(
    r"(t|s|x|[^a-zåäöšžé])$"  # plurals, and stems that the nominative does not determine
    r"| ja |[(–,]|Uusi-|Iso-|inen "  # several parts that would all be inflected
    r"|(?<!s)[kpt][aeiouyäö]$|nsi$|alue$"  # stems that change
)
_THE = re.compile(
    r"^(United|Isle of|Netherlands|Philippines|Bahamas|Gambia|Comoros|Maldives|Seychelles|Caribbean|British|U\.S\.)"
    r"|(Islands|Republic|Territory|Territories|Emirates)$"
)


def with_particles(text: str) -> str:
    """Return Korean `text` with each 은(는), 이(가), 을(를), 과(와), (으)로, (이)라 chosen by the sound before it."""

    def settle(match: re.Match[str]) -> str:
        before, particle = match.groups()
        ending = _ending(before)
        if particle == "(으)로":
            return before + ("으로" if ending == "consonant" else "로")
        if particle == "(이)라":
            return before + ("라" if ending == "vowel" else "이라")
        return before + (particle[2] if ending == "vowel" else particle[0])

    return _PARTICLE.sub(settle, text)


def _ending(character: str) -> str:
    if "가" <= character <= "힣":
        final = (ord(character) - ord("가")) % 28
        return "vowel" if final == 0 else "rieul" if final == 8 else "consonant"
    return _LAST_SOUNDS.get(character, "vowel")


def genitive(name: str) -> str | None:
    """Return the Finnish genitive of a name, or None if the nominative does not determine its form."""
    if name in _IRREGULAR_GENITIVES:
        return _IRREGULAR_GENITIVES[name]
    if name.endswith("saari"):
        return f"{name[:-1]}en"
    if _NO_SAFE_GENITIVE.search(name):
        return None
    return f"{name}n" if name[-1] in "aeiouyåäöé" else f"{name}in"


def with_article(name: str) -> str:
    """Return an English name in the form used inside a sentence."""
    return f"the {name}" if _THE.search(name) else name


def capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
