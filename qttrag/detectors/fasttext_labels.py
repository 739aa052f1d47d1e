"""Labels of fastText's language models, and the languages that they stand for."""

from __future__ import annotations

import functools

from qttrag.errors import InputError
from qttrag.text.languages import language
from qttrag.types import UNDETERMINED, Lang

PREFIX = "__label__"
_LABELS = """
af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de diq
dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo io is it
ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv
mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn sco sd sh si sk sl so
sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf yi yo yue zh
"""
LABELS = frozenset(_LABELS.split())
"""The labels of the shipped model, lid.176."""

_UNUSED = frozenset(
    ("als", "sh")
)  # of lid.176: Alemannic, as which ISO 639-3 has Albanian; Serbo-Croatian, beside hr and sr


@functools.cache
def lang_of(label: str) -> Lang:
    """Return the language of a label: lid.176's ("ko"), NLLB's ("kor_Hang") or GlotLID's ("cmn_Hani").

    "und" for a language, or a language in a script, that is not in the table."""
    name = label.removeprefix(PREFIX)
    if name in _UNUSED:
        return UNDETERMINED
    try:
        return language(name).code
    except InputError:
        return UNDETERMINED
