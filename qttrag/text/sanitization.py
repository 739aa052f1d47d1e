"""Sanitise text that a prompt quotes, so that it cannot act as part of the prompt."""

from __future__ import annotations

import re

_BRACKETS = str.maketrans("[]［］【】", "()()()")
_ROLE_TOKEN = re.compile(r"<(?=[|｜/<]|[^\s<>]+>)")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def sanitise(text: str) -> str:
    """Return `text` as one line without headers, score tags or role tokens.

    Square brackets, which mark headers and scores, become round; a "<" that could begin a role token of some
    chat template is followed by a space; control characters and runs of white space become one space."""
    return " ".join(_CONTROLS.sub(" ", _ROLE_TOKEN.sub("< ", text.translate(_BRACKETS))).split())
