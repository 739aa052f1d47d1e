"""The help of the command line: plain text, quick to print."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from qttrag.cli import app

COMMANDS: Any = typer.main.get_group(app).commands


def test_commands_are_listed_under_their_panels_with_their_whole_first_sentence() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    answers, rest = shown.split("Answers:")[1].split("Indexes and evaluation:")
    assert "  serve       Serve the HTTP API and the page.\n" in answers
    assert "doctor" not in answers
    assert (
        "Copy prompts, index recipes, deployments and suites to a folder for editing, and choose a deployment."
        in " ".join(rest.split())
    )
    assert "Deployments and models:" in rest


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_summary_of_a_command_is_the_first_sentence_of_its_own_help(name: str) -> None:
    assert COMMANDS[name].get_short_help_str(1000) == app.info.cls.entries[name].summary  # type: ignore[union-attr]


def test_a_group_without_arguments_shows_its_help() -> None:
    assert "Commands:\n  build " in CliRunner().invoke(app, ["index"]).output


def test_a_mistyped_command_is_answered_with_the_nearest_one() -> None:
    assert "No such command 'aks'. Did you mean 'ask'?" in CliRunner().invoke(app, ["aks"]).output


def test_help_loads_no_command_and_neither_rich_nor_pydantic() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qttrag", "--help"], check=True, capture_output=True, text=True
    )
    loaded = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not {module.split(".")[0] for module in loaded} & {"rich", "pydantic", "asyncio", "email"}
    assert {module for module in loaded if module.startswith("qttrag.cli")} == {"qttrag.cli", "qttrag.cli.groups"}
