"""What the scripts of this folder share: they check one client each against a running service and print the results.

The scripts run in environments of their own, which have the clients and no qttrag."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable

URL = os.environ.get("QTTRAG_URL", "http://127.0.0.1:8080") + "/v1"
KEY = os.environ.get("QTTRAG_KEY", "none")
MODEL = "qtt_rag"
QUESTION = "Mikä on Suomen pääkaupunki?"
FOLLOW_UP = "Entä Ruotsin?"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
REFUSAL = "`tools` is not supported"


def main(**checks: Callable[[], None]) -> None:
    """Run the checks and print {name: null, or what went wrong} as JSON; a check that is missing is not offered."""
    results: dict[str, str | None] = {}
    for name, check in checks.items():
        try:
            check()
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            results[name] = f"{type(error).__name__}: {error}"
        else:
            results[name] = None
    print(json.dumps(results))


def expect(condition: object, what: str) -> None:
    """Raise AssertionError(what) unless the condition holds; `assert` is off in optimised runs."""
    if not condition:
        raise AssertionError(what)


def expect_stream(pieces: Iterable[str | None], whole: str) -> None:
    """Expect that the pieces of a stream are the whole answer."""
    text = "".join(piece or "" for piece in pieces)
    expect(text == whole != "", f"streamed {text!r}, whole {whole!r}")


def expect_refusal(ask: Callable[[], object], *errors: type[Exception]) -> None:
    """Expect that asking with tools raises one of the client's errors, with the words of the service."""
    try:
        answer = ask()
    except errors as error:
        expect(REFUSAL in str(error), f"refused with other words: {error}")
        return
    raise AssertionError(f"answered: {answer!r}")
