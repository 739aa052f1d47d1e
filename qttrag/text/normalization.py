"""One normalisation of text, in two levels. The texts that people see are never changed by it.

`clean` is for what models read. It changes how text is written, not what it says:
- variants of the same letter or digit become the ordinary one, as in NFKC: full-width Latin, half-width kana,
  mathematical letters, Arabic presentation forms, ligatures. Other parts of NFKC are left out, because they decide
  something: "x²" is not "x2", "½" is not "1⁄2", and "，" is the comma of Chinese;
- invisible characters are removed (Unicode's Default_Ignorable_Code_Point): soft hyphens, zero-width spaces, direction
  marks, variation selectors, tag characters, Hangul fillers. The joiners ZWJ and ZWNJ stay after letters of scripts
  that use them (Arabic, Indic scripts) and ZWJ inside emoji;
- the result is in NFC.

`for_matching` is for comparing words. It also unites spellings that a reader takes for the same word: full NFKC, case
(with the Turkish İ and ı as i, because "ISPARTA" may be either), digits of any script as ASCII, no joiners, no tatweel,
no vowel signs of Arabic and Hebrew, which most texts omit.

| use | level | because |
|---|---|---|
| detection, `language_check` | `clean` | detectors know ordinary letters; case and vowel signs help them |
| the question before translation, encoding and reranking | `clean` | so do models |
| BM25, index and question | `for_matching` | a term in any spelling is one term |
| citations by words, abstention | `for_matching` | the answer may be spelt differently from the passage |
| what a prompt quotes (`sanitization`) | `without_invisible` | hidden characters could carry instructions |

Passages are encoded as they are: an index built before this module has the same vectors. The terms of BM25 are not
stored, so that they are always those of this module. The measures of `evaluation` have normalisations of their own,
which are part of their signatures.
"""

from __future__ import annotations

import unicodedata

import regex

_JOINING = (
    r"\p{Arab}\p{Syrc}\p{Nkoo}\p{Mong}\p{Deva}\p{Beng}\p{Guru}\p{Gujr}\p{Orya}\p{Taml}\p{Telu}\p{Knda}\p{Mlym}"
    r"\p{Sinh}\p{Mymr}\p{Khmr}\p{Tibt}"
)
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_USELESS_JOINER = regex.compile(
    rf"(?<![{_JOINING}]){_ZWNJ}|{_ZWNJ}(?![{_JOINING}])"  # ZWNJ separates two letters
    rf"|(?<![{_JOINING}\p{{Extended_Pictographic}}\p{{Emoji_Modifier}}]){_ZWJ}"  # ZWJ may end a word
    rf"|(?<=[\p{{Extended_Pictographic}}\p{{Emoji_Modifier}}]){_ZWJ}(?!\p{{Extended_Pictographic}})"
)
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_VOWEL_SIGNS = regex.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew: accents and points
    "\u0610-\u061a\u064b-\u0652\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u08d3-\u08e1\u08e3-\u08ff]"
)  # Arabic: not the hamza and madda above, which make other letters
_TATWEEL, _DOTLESS_I, _DOT_ABOVE = "\u0640", "\u0131", "\u0307"
_VARIANTS = frozenset(("<font>", "<wide>", "<narrow>", "<initial>", "<medial>", "<final>", "<isolated>"))
_LIGATURES = range(0xFB00, 0xFB18)  # Latin and Armenian, which Unicode counts among other compatibility characters


class _Table(dict[int, "str | None"]):
    """A table for `str.translate` that is filled when a character first occurs. None: the character is removed."""

    def __missing__(self, point: int) -> str | None:
        self[point] = replacement = self.replacement(chr(point))
        return replacement

    def replacement(self, character: str) -> str | None:
        if character in (_ZWNJ, _ZWJ):
            return character
        return None if _INVISIBLE.match(character) else character


class _CleanTable(_Table):
    def replacement(self, character: str) -> str | None:
        kept = super().replacement(character)
        return _ordinary(character) if kept else None


class _MatchingTable(_Table):
    def replacement(self, character: str) -> str | None:
        if character in (_ZWNJ, _ZWJ, _TATWEEL) or _VOWEL_SIGNS.match(character):
            return None
        if character == _DOTLESS_I:
            return "i"
        digit = unicodedata.decimal(character, None)
        return character if digit is None else str(digit)


def _ordinary(character: str) -> str:
    """Return the letters or digits that the character is only another form of, or else the character."""
    kind = unicodedata.decomposition(character).split(" ")[0]
    if unicodedata.category(character)[0] in "LNM" and (kind in _VARIANTS or ord(character) in _LIGATURES):
        return unicodedata.normalize("NFKC", character).lstrip()  # isolated vowel signs would get a space
    return character


_VISIBLE, _CLEAN, _MATCHING = _Table(), _CleanTable(), _MatchingTable()


def without_invisible(text: str) -> str:
    """Return `text` without invisible characters; joiners that a script or an emoji needs stay."""
    if text.isascii():
        return text
    return _without_useless_joiners(text.translate(_VISIBLE))


def clean(text: str) -> str:
    """Return `text` in NFC, without invisible characters and without typographic variants of letters and digits."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _without_useless_joiners(text.translate(_CLEAN)))


def _without_useless_joiners(text: str) -> str:
    if _ZWJ not in text and _ZWNJ not in text:
        return text
    kept: str = _USELESS_JOINER.sub("", text)
    return kept


def for_matching(text: str) -> str:
    """Return `text` as it is compared with other texts: equal for spellings that a reader takes for the same."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", clean(text)).casefold().replace(f"i{_DOT_ABOVE}", "i")
    return unicodedata.normalize("NFKC", folded.translate(_MATCHING))
