"""The command line. Exit codes: 0 done, 1 unexpected, 2 wrong use, input or configuration, 3 an index is not as
it must be, 4 a model or server failed, 130 interrupted."""

from __future__ import annotations

import sys

import typer

from qttrag.cli import ask, cache, doctor, index, listing, models, output, serve, text, vllm
from qttrag.cli.eval import app as eval_app
from qttrag.errors import InputError, QttragError

app = typer.Typer(
    name="qttrag",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="Answer questions in one language from evidence in another.",
    epilog="Exit codes: 0 done · 1 unexpected · 2 wrong use, input or configuration · "
    "3 an index is missing or damaged · 4 a model or server failed · 130 interrupted",
)
app.command("ask")(ask.ask)
app.command("serve")(serve.serve)
app.command("translate")(text.translate)
app.command("tag")(text.tag)
app.add_typer(index.app, name="index")
app.add_typer(eval_app, name="eval")
app.add_typer(models.app, name="models")
app.add_typer(vllm.app, name="vllm")
app.command("strategies")(listing.strategies)
app.command("kinds")(listing.kinds)
app.command("languages")(listing.languages)
app.command("doctor")(doctor.doctor)
app.add_typer(listing.config_app, name="config")
app.command("init")(listing.init)
app.add_typer(cache.app, name="cache")


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
    """Run the command line; every foreseen error is one line (or, with --json, one object) and an exit code."""
    try:
        app()
    except QttragError as error:
        output.fail(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except OSError as error:  # a path that was given: a folder where a file should be, not writable, no room
        told = InputError(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        output.fail(told, as_json="--json" in sys.argv)
        sys.exit(told.exit_code)
