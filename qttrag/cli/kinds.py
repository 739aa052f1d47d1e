"""`qttrag kinds`."""

from __future__ import annotations

import inspect
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output

if TYPE_CHECKING:
    from qttrag.application.factory import Setting


def kinds(
    stage: Annotated[str | None, typer.Argument(help="Only the kinds of this stage: retriever, generator, ...")] = None,
    as_json: output.Json = False,
) -> None:
    """List the kinds of each stage with the settings that a deployment can give them.

    Example: qttrag kinds generator
    """
    from qttrag.errors import InputError, unknown
    from qttrag.protocols import PROTOCOLS

    if stage is not None and stage not in PROTOCOLS:
        raise InputError(unknown("stage", stage, PROTOCOLS))
    listed = [row for name in ([stage] if stage else PROTOCOLS) for row in _kinds_of(name)]
    if as_json:
        output.say_json([{**row, "settings": [setting._asdict() for setting in row["settings"]]} for row in listed])
        return
    rows = [[row["stage"], row["kind"], row["summary"], "\n".join(map(_line, row["settings"]))] for row in listed]
    output.console().print(output.table("stage", "kind", "summary", "settings = default", rows=rows))


def _kinds_of(stage: str) -> list[dict[str, Any]]:
    from qttrag.application import factory, registry

    rows = []
    for kind in sorted(registry.kinds(stage)):
        constructor = registry.resolve(stage, kind)
        doc = inspect.getdoc(sys.modules[constructor.__module__]) or inspect.getdoc(constructor) or ""
        settings = factory.settings_of(constructor)
        rows.append({"stage": stage, "kind": kind, "summary": doc.split("\n")[0], "settings": settings})
    return rows


def _line(setting: Setting) -> str:
    line = f"{setting.name}: {setting.type}"
    if setting.required:
        return line
    if setting.type.endswith("settings"):
        return f"{line} = the deployment's"
    default = setting.default
    return f"{line} = {default if isinstance(default, str) else json.dumps(default)}"
