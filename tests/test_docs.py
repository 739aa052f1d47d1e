"""The documents: each command in them exists with its options, each link leads somewhere, each YAML block is valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.config import deployment
from qttrag.config.yaml_files import merge_settings
from qttrag.indexes import recipe

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
COMMAND = re.compile(r"^\$ (qttrag .*?)(?:\s{2,}#.*)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
YAML_BLOCK = re.compile(r"^```yaml\n# (deployment|recipe)\b[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def found(pattern: re.Pattern[str]) -> list[Any]:
    """Return (page and number, groups) of each match, as test parameters."""
    return [
        pytest.param(page, match, id=f"{page.relative_to(ROOT)}-{number}")
        for page in PAGES
        for number, match in enumerate(pattern.finditer(page.read_text(encoding="utf-8")), 1)
    ]


@pytest.mark.parametrize(("page", "match"), found(COMMAND))
def test_a_command_exists_with_its_options(page: Path, match: re.Match[str]) -> None:
    words = shlex.split(match[1])[1:]
    done = CliRunner().invoke(app, [*words, "--help"])  # options are parsed before --help acts
    assert done.exit_code == 0, f"{match[1]}: {done.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file(page: Path) -> None:
    links = [match[1] for match in LINK.finditer(page.read_text(encoding="utf-8"))]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("page", "match"), found(YAML_BLOCK))
def test_a_yaml_block_is_valid(page: Path, match: re.Match[str], tmp_path: Path) -> None:
    kind, text = match[1], match[2]
    if kind == "recipe":
        file = tmp_path / "my.yaml"
        file.write_text(text, encoding="utf-8")
        assert recipe.load(file).name == "my"
    else:
        shipped = yaml.safe_load((ROOT / "server" / "laptop.yaml").read_text(encoding="utf-8"))
        deployment.Deployment.model_validate(merge_settings(shipped, yaml.safe_load(text)))
