"""The documents: commands exist with their options, links lead to files, settings in YAML blocks are valid."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.reproduction import CARDS, Plan
from qttrag.application.application import Application
from qttrag.cli import app
from qttrag.config.deployment import Deployment
from qttrag.config.yaml_files import merge_settings
from qttrag.evaluation import suites
from qttrag.evaluation.report import reported
from qttrag.indexes import recipe

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
COMMAND = re.compile(r"^\$ (qttrag .*?)(?:\s{2,}#.*)?$", re.MULTILINE)
MODULE = re.compile(r"^\$ python -m ((?:benchmarks|demo)\.\S+.*?)(?:\s{2,}#.*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
YAML_BLOCK = re.compile(r"^```yaml\n(?P<first># (?P<what>\w+)[^\n]*\n)?(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def matches(pattern: re.Pattern[str]) -> list[Any]:
    """Return each match of a pattern in the pages as a test parameter."""
    return [
        pytest.param(match, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, match in enumerate(pattern.finditer(page.read_text(encoding="utf-8")), 1)
    ]


@pytest.mark.parametrize("match", matches(COMMAND))
def test_a_command_exists_with_its_options(match: re.Match[str]) -> None:
    words = shlex.split(match[1])[1:]
    done = CliRunner().invoke(app, [*words, "--help"])  # options are parsed before --help acts
    assert done.exit_code == 0, f"{match[1]}: {done.output}"


@pytest.mark.parametrize("match", matches(MODULE))
def test_a_module_runs_with_its_options(match: re.Match[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module, *words = shlex.split(match[1])
    monkeypatch.setattr("sys.argv", [module, *words, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)  # it is run anew
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    assert not end.value.code


def test_the_figures_in_the_guide_are_the_reported_ones() -> None:
    page = (ROOT / "docs" / "guides" / "reproduce-the-paper.md").read_text(encoding="utf-8")
    paper = reported.load("paper")
    for dataset, by_generator in paper.figures.items():
        for generator, row in by_generator.items():
            assert f"| {' | '.join([dataset, generator, *map(str, row)])} |\n" in page
    assert f"| dataset | generator | {' | '.join(paper.strategies)} |" in page


def test_the_hours_in_the_guide_are_those_of_the_benchmark() -> None:
    page = (ROOT / "docs" / "guides" / "reproduce-the-paper.md").read_text(encoding="utf-8")
    rows = {"XOR-TyDi ko": (371, 0.232), "XOR-TyDi fi": (615, 0.199), "MKQA ko": (2827, 0.227), "MKQA zh": (2827, 0.05)}
    for name, (n, foreign) in rows.items():
        plans = [Plan(n, foreign, CARDS[card], 0.4, 64, bits) for card in CARDS for bits in (16, 4)]
        hours = " | ".join(f"{sum(work.hours for work in plan.work()):.1f}" for plan in plans)
        assert f"| {name}, {n:,} | {hours} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file(page: Path) -> None:
    links = [match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("block", matches(YAML_BLOCK))
def test_the_settings_in_a_yaml_block_are_valid(block: re.Match[str], tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(block["text"], encoding="utf-8")
    match block["what"]:
        case "recipe":
            assert recipe.load(file).name == "my"
        case "suite":
            assert suites.load(str(file)).strategies
        case "deployment":
            shipped = yaml.safe_load((ROOT / "server" / "laptop.yaml").read_text(encoding="utf-8"))
            settings = merge_settings(shipped, yaml.safe_load(block["text"]))
            Application.open(Deployment.model_validate(settings))  # checks each setting against its constructor
        case _:
            pytest.fail("say what the block is in its first line: `# recipe`, `# suite` or `# deployment`")
