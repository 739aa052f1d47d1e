"""The command line. Exit codes: 0 success, 1 unexpected error, 2 invalid usage, input or configuration, 3 a missing or
damaged index, 4 a model or server failed, 130 interrupted."""

from __future__ import annotations

import sys

import typer

from qttrag.cli import (
    ask,
    cache,
    config,
    doctor,
    index,
    init,
    kinds,
    languages,
    mcp,
    models,
    output,
    serve,
    strategies,
    tagger,
    text,
    vllm,
)
from qttrag.cli.eval import app as eval_app
from qttrag.cli.groups import group
from qttrag.errors import InputError, QttragError

app = group(
    "Answer questions in one language from evidence in another.",
    name="qttrag",
    add_completion=False,
    epilog="Exit codes: 0 success · 1 unexpected error · 2 invalid usage, input or configuration · "
    "3 an index is missing or damaged · 4 a model or server failed · 130 interrupted",
)
_ANSWER, _DATA, _DEPLOYMENT = "Answers", "Indexes and evaluation", "Deployments and models"
app.command("ask", rich_help_panel=_ANSWER)(ask.ask)
app.command("serve", rich_help_panel=_ANSWER)(serve.serve)
app.command("mcp", rich_help_panel=_ANSWER)(mcp.mcp)
app.command("translate", rich_help_panel=_ANSWER)(text.translate)
app.command("tag", rich_help_panel=_ANSWER)(text.tag)
app.add_typer(index.app, name="index", rich_help_panel=_DATA)
app.add_typer(eval_app, name="eval", rich_help_panel=_DATA)
app.add_typer(tagger.app, name="tagger", rich_help_panel=_DATA)
app.add_typer(models.app, name="models", rich_help_panel=_DEPLOYMENT)
app.add_typer(vllm.app, name="vllm", rich_help_panel=_DEPLOYMENT)
app.command("doctor", rich_help_panel=_DEPLOYMENT)(doctor.doctor)
app.add_typer(config.app, name="config", rich_help_panel=_DEPLOYMENT)
app.command("init", rich_help_panel=_DEPLOYMENT)(init.init)
app.command("kinds", rich_help_panel=_DEPLOYMENT)(kinds.kinds)
app.command("strategies", rich_help_panel=_DEPLOYMENT)(strategies.strategies)
app.command("languages", rich_help_panel=_DEPLOYMENT)(languages.languages)
app.add_typer(cache.app, name="cache", rich_help_panel=_DEPLOYMENT)


def _version(value: bool) -> None:
    if value:
        from qttrag import __version__

        output.say(f"qttrag {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Answer questions in one language from evidence in another."""


def main() -> None:
    """Run the command line. An expected error is printed as one line, or as one object with --json."""
    try:
        app()
    except QttragError as error:
        output.fail(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except OSError as error:  # of a path argument: a directory instead of a file, not writable, disk full
        invalid = InputError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        output.fail(invalid, as_json="--json" in sys.argv)
        sys.exit(invalid.exit_code)
