"""The help of the command line: plain text, quick to print."""

from __future__ import annotations

import subprocess
import sys

from typer.testing import CliRunner

from qttrag.cli import app


def test_commands_are_listed_under_their_panels_with_their_whole_first_sentence() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    answers, rest = shown.split("Answers:")[1].split("Deployments and models:")
    assert "  serve       Serve the HTTP API and the page.\n" in answers
    assert "doctor" not in answers
    assert (
        "Copy prompts, index recipes, deployments and suites to a folder for editing, and choose a deployment."
        in " ".join(rest.split())
    )
    assert "Indexes and evaluation:" in rest


def test_a_group_without_arguments_shows_its_help() -> None:
    assert "Commands:\n  build " in CliRunner().invoke(app, ["index"]).output


def test_a_mistyped_command_is_answered_with_the_nearest_one() -> None:
    assert "No such command 'aks'. Did you mean 'ask'?" in CliRunner().invoke(app, ["aks"]).output


def test_help_loads_neither_rich_nor_pydantic() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qttrag", "--help"], check=True, capture_output=True, text=True
    )
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {"rich", "pydantic", "asyncio", "email"}
