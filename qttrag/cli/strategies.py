"""`qttrag strategies`."""

from __future__ import annotations

import inspect
from typing import Any

from qttrag.cli import output


def strategies(as_json: output.Json = False) -> None:
    """List the strategies with their options."""
    from qttrag.application import registry

    listed: list[tuple[str, str, dict[str, Any]]] = []
    for name in sorted(registry.kinds("strategy")):
        function = registry.resolve("strategy", name)
        options = {p.name: p.default for p in list(inspect.signature(function).parameters.values())[2:]}
        summary = (inspect.getdoc(function) or "").split("\n\n")[0]
        listed.append((name, summary, options))
    if as_json:
        output.say_json([dict(zip(("strategy", "summary", "options"), row, strict=True)) for row in listed])
        return
    rows = [[name, summary, ", ".join(f"{k}={v}" for k, v in options.items())] for name, summary, options in listed]
    output.console().print(output.table("strategy", "summary", "options (defaults)", rows=rows))
