"""Replies of a language model that judges: a JSON object with one truth value, such as {"right": true}."""

from __future__ import annotations

import json

from qttrag.types import Decoding


def decoding(name: str) -> Decoding:
    """Return a greedy decoding whose schema is an object with one truth value of this name."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "boolean"}},
        "required": [name],
        "additionalProperties": False,
    }
    return Decoding(max_tokens=16, schema=schema)


def read(reply: str, name: str) -> bool | None:
    """Return the truth value of this name in a reply, None if it has none."""
    try:
        value = json.loads(reply[reply.find("{") : reply.rfind("}") + 1])
    except ValueError:
        return None
    truth = value.get(name) if isinstance(value, dict) else None
    return truth if isinstance(truth, bool) else None
