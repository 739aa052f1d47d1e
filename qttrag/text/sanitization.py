"""Sanitise text that a prompt quotes, so that it cannot act as part of the prompt."""

from __future__ import annotations

import re

from qttrag.text.normalization import without_invisible

OPENING_BRACKETS = "[［【〔〖〘〚⟦⟬❲⦋⦍⦏⦗⁅﹝︹︻︗﹇"
CLOSING_BRACKETS = "]］】〕〗〙〛⟧⟭❳⦌⦎⦐⦘⁆﹞︺︼︘﹈"
"""Square brackets, and those that a reader or a model may take for them."""

_BRACKETS = str.maketrans(
    OPENING_BRACKETS + CLOSING_BRACKETS, "(" * len(OPENING_BRACKETS) + ")" * len(CLOSING_BRACKETS)
)
_LESS, _GREATER, _BAR = "<＜﹤", ">＞﹥", "|｜￨"  # NFKC, which some tokenizers apply, turns them into ASCII
_ROLE_TOKEN = re.compile(rf"([{_LESS}])(?=[{_BAR}/／{_LESS}]|[^\s{_LESS}{_GREATER}]+[{_GREATER}])")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def sanitise(text: str) -> str:
    """Return `text` as one line without headers, score tags, role tokens or hidden characters.

    Square brackets and their look-alikes, which mark headers and scores, become round; a "<" of any width that could
    begin a role token of some chat template is followed by a space; invisible characters are removed; control
    characters and runs of white space become one space."""
    visible = without_invisible(text).translate(_BRACKETS)
    return " ".join(_CONTROLS.sub(" ", _ROLE_TOKEN.sub(r"\1 ", visible)).split())
