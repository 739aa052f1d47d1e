"""Text that a prompt quotes, made so that it can be nothing but data."""

from __future__ import annotations

import re

_BRACKETS = str.maketrans("[]［］【】", "()()()")
_ROLE_TOKEN = re.compile(r"<(?=[|｜/<]|[^\s<>]+>)")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def neutralise(text: str) -> str:
    """Return `text` as one line that can be nothing but data.

    Square brackets, which mark headers and scores, become round; a "<" that could begin a role token of some
    chat template is set apart from it; controls fold to spaces, white space to single ones."""
    return " ".join(_CONTROLS.sub(" ", _ROLE_TOKEN.sub("< ", text.translate(_BRACKETS))).split())
