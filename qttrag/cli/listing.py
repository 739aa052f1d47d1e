"""`qttrag strategies`, `kinds`, `languages`, `config show` and `init`: what there is, and a copy of it to edit."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.application.factory import Setting

config_app = typer.Typer(no_args_is_help=True, help="Look at deployments.")


def strategies(as_json: output.Json = False) -> None:
    """List the strategies, what they do and their options."""
    from qttrag.application import registry

    found = []
    for name in sorted(registry.kinds("strategy")):
        function = registry.resolve("strategy", name)
        parameters = list(inspect.signature(function).parameters.values())[2:]
        options = {p.name: p.default for p in parameters}
        summary = (inspect.getdoc(function) or "").split("\n\n")[0]
        found.append((name, summary, options))
    if as_json:
        output.say_json([dict(zip(("strategy", "summary", "options"), each, strict=True)) for each in found])
        return
    rows = [[name, summary, ", ".join(f"{k}={v}" for k, v in options.items())] for name, summary, options in found]
    output.console().print(output.table("strategy", "what it does", "options (default)", rows=rows))


def kinds(
    stage: Annotated[str | None, typer.Argument(help="Only this one's: retriever, generator, ...")] = None,
    as_json: output.Json = False,
) -> None:
    """List the kinds of each stage, what they are and what a deployment can tell them.

    Example: qttrag kinds generator
    """
    from qttrag.errors import InputError, unknown
    from qttrag.protocols import PROTOCOLS

    if stage is not None and stage not in PROTOCOLS:
        raise InputError(unknown("stage", stage, PROTOCOLS))
    found = [row for each in ([stage] if stage else PROTOCOLS) for row in _kinds(each)]
    if as_json:
        output.say_json([{**row, "settings": [setting._asdict() for setting in row["settings"]]} for row in found])
        return
    rows = [[row["stage"], row["kind"], row["summary"], "\n".join(map(_setting, row["settings"]))] for row in found]
    output.console().print(output.table("stage", "kind", "what it is", "settings = default", rows=rows))


def _kinds(stage: str) -> list[dict[str, Any]]:
    from qttrag.application import factory as building
    from qttrag.application import registry

    found = []
    for kind in sorted(registry.kinds(stage)):
        constructor = registry.resolve(stage, kind)
        about = inspect.getdoc(sys.modules[constructor.__module__]) or inspect.getdoc(constructor) or ""
        settings = building.settings_of(constructor)
        found.append({"stage": stage, "kind": kind, "summary": about.split("\n")[0], "settings": settings})
    return found


def _setting(setting: Setting) -> str:
    import json

    told = f"{setting.name}: {setting.type}"
    if setting.required:
        return told
    if setting.type.endswith("settings"):
        return f"{told} = the deployment's"
    default = setting.default
    return f"{told} = {default if isinstance(default, str) else json.dumps(default)}"


def languages(
    search: Annotated[str, typer.Argument(help="Only those with this in a code or name.")] = "",
    as_json: output.Json = False,
) -> None:
    """List the languages that can be asked in and translated from, and which have prompts of their own.

    Example: qttrag languages finn
    """
    from qttrag.prompts import Prompts
    from qttrag.text.languages import LANGUAGES

    own = set(Prompts().languages("answer"))
    wanted = search.lower()
    rows = [
        {"code": row.code, "name": row.name, "native": row.native, "nllb": row.nllb, "script": row.script,
         "prompts": row.code in own}
        for row in LANGUAGES.values()
        if any(wanted in text.lower() for text in (row.code, row.name, row.native, row.nllb))
    ]  # fmt: skip
    if as_json:
        output.say_json(rows)
        return
    cells = [[*(str(v) for v in list(row.values())[:5]), "own" if row["prompts"] else "English"] for row in rows]
    output.console().print(output.table("code", "name", "native", "nllb", "script", "prompts", rows=cells))


@config_app.command("show")
def show(config: output.Config = DEFAULT_DEPLOYMENT, settings: output.Set = None, as_json: output.Json = False) -> None:
    """Show the deployment as it is resolved from file, environment and flags; secrets hidden.

    Example: qttrag config show --config server/paper.yaml
    """
    import yaml

    from qttrag.config import deployment as configuration
    from qttrag.config import yaml_files

    deployment = configuration.load(config, output.pairs(settings, "--set"))
    resolved = yaml_files.hide_secrets(deployment.model_dump(mode="json"))
    if as_json:
        output.say_json(resolved)
    else:
        output.say(yaml.safe_dump(resolved, allow_unicode=True, sort_keys=False).rstrip())


def init(
    folder: Annotated[Path, typer.Argument(help="Where to put the folders.")],
    as_json: output.Json = False,
) -> None:
    """Copy prompts, index recipes, deployments and suites to a folder for editing.

    Example: qttrag init my-qttrag && export QTTRAG_HOME=$PWD/my-qttrag
    """
    from qttrag import resources

    copied = [str(path) for path in resources.copy_out(folder)]
    if as_json:
        output.say_json({"copied": copied})
        return
    output.say("\n".join(copied))
    output.say(f"now: export QTTRAG_HOME={folder.resolve()}")
