"""The command line. Exit codes: 0 success, 1 unexpected error, 2 invalid usage, input or configuration, 3 a missing or
damaged index, 4 a model or server failed, 130 interrupted."""

from __future__ import annotations

import sys
from typing import ClassVar, NoReturn

import typer

from qttrag.cli.groups import Entry, LazyGroup, group
from qttrag.errors import InputError, QttragError

_ANSWER, _DATA, _DEPLOYMENT = "Answers", "Indexes and evaluation", "Deployments and models"


class _Commands(LazyGroup):
    entries: ClassVar = {
        "ask": Entry("qttrag.cli.ask:ask", _ANSWER,
                     "Answer one question and show the passages, times and counts of the answer."),
        "serve": Entry("qttrag.cli.serve:serve", _ANSWER, "Serve the HTTP API and the page."),
        "mcp": Entry("qttrag.cli.mcp:mcp", _ANSWER,
                     "Serve the tools search, ask, translate and tag to agents by the Model Context Protocol (MCP)."),
        "translate": Entry("qttrag.cli.text:translate", _ANSWER,
                           "Translate one text with the deployment's translator."),
        "tag": Entry("qttrag.cli.text:tag", _ANSWER, "Score one translation with the deployment's tagger: "
                     "semantic equivalence, grammar, fluency, 0 to 5."),
        "index": Entry("qttrag.cli.index:app", _DATA, "Build, change, check and search collections."),
        "eval": Entry("qttrag.cli.eval:app", _DATA, "Answer the questions of a suite, and score the answers."),
        "tagger": Entry("qttrag.cli.tagger:app", _DATA, "Train a tagger."),
        "doctor": Entry("qttrag.cli.doctor:doctor", _DEPLOYMENT, "Check the packages, models, indexes and servers "
                        "of a deployment, and estimate the time of a question."),
        "init": Entry("qttrag.cli.init:init", _DEPLOYMENT, "Copy prompts, index recipes, deployments and suites "
                      "to a folder for editing, and choose a deployment."),
        "models": Entry("qttrag.cli.models:app", _DEPLOYMENT, "List or download the models of a deployment."),
        "vllm": Entry("qttrag.cli.vllm:app", _DEPLOYMENT, "Start and stop vLLM for the models of a deployment."),
        "config": Entry("qttrag.cli.config:app", _DEPLOYMENT, "Show deployments."),
        "kinds": Entry("qttrag.cli.kinds:kinds", _DEPLOYMENT,
                       "List the kinds of each stage with the settings that a deployment can give them."),
        "strategies": Entry("qttrag.cli.strategies:strategies", _DEPLOYMENT,
                            "List the strategies with their options."),
        "languages": Entry("qttrag.cli.languages:languages", _DEPLOYMENT,
                           "List the languages, and what each stage does with them."),
        "cache": Entry("qttrag.cli.cache:app", _DEPLOYMENT,
                       "Show or clear the cache of translations and completions (scores are completions)."),
    }  # fmt: skip


app = group(
    "Answer questions in one language from evidence in another.",
    _Commands,
    name="qttrag",
    add_completion=False,
    epilog="Exit codes: 0 success · 1 unexpected error · 2 invalid usage, input or configuration · "
    "3 an index is missing or damaged · 4 a model or server failed · 130 interrupted",
)


def _version(value: bool) -> None:
    if value:
        from qttrag import __version__

        typer.echo(f"qttrag {__version__}")
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
        _fail(error)
    except OSError as error:  # of a path argument: a directory instead of a file, not writable, disk full
        _fail(InputError(f"{error.filename}: {error.strerror}" if error.filename else str(error)))


def _fail(error: QttragError) -> NoReturn:
    from qttrag.cli import output

    output.fail(error, as_json="--json" in sys.argv)
    sys.exit(error.exit_code)
