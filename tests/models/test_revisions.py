"""`revision:` is written to a YAML file; every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.models.revisions import pin, pinned

SHA = "5617a9f61b028005a4858fdac845db406aefb181"
PINS = f"revision: {SHA}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("g:\n  model: a/b   # why\n  k: 1\n", f"g:\n  model: a/b   # why\n  {PINS}\n  k: 1\n"),
        ("g: {model: a/b, k: 1}  # why\n", f"g: {{model: a/b, {PINS}, k: 1}}  # why\n"),
        ("g:\n    model: 'a/b'", f"g:\n    model: 'a/b'\n    {PINS}\n"),
        ("g:\n  model:\n    a/b\n  k: 1\n", f"g:\n  model:\n    a/b\n  {PINS}\n  k: 1\n"),
        ("g:\r\n  model: a/b\r\n", f"g:\r\n  model: a/b\r\n  {PINS}\r\n"),
        ("g: {model: a/b, revision: main}\n", f"g: {{model: a/b, {PINS}}}\n"),
        ('g:\n  revision: "main" # why\n  model: a/b\n', f"g:\n  {PINS} # why\n  model: a/b\n"),
        ("g:\n  revision:\n  model: a/b\n", f"g:\n  {PINS}\n  model: a/b\n"),
        ("# 한국어\ng: &g {model: a/b}\nh: *g\n", f"# 한국어\ng: &g {{model: a/b, {PINS}}}\nh: *g\n"),
    ],
)
def test_only_the_revision_changes(before: str, after: str) -> None:
    assert pinned(before, ["g"], "a/b", SHA) == after


@pytest.mark.parametrize("other", ["l:\n- a\nm:\n  - b\n", "x: null\n", "f: {a: 1,b: 2}\n", "s: [{t: [a]}]\n"])
def test_the_layout_of_other_settings_stays(other: str) -> None:
    assert pinned(f"g: {{model: a/b}}\n{other}", ["g"], "a/b", SHA) == f"g: {{model: a/b, {PINS}}}\n{other}"


def test_a_nested_mapping_is_pinned_in_place() -> None:
    text = "t: {kind: llm, g: {kind: x, model: a/b}}\ng: {model: a/b}\n"
    after = f"t: {{kind: llm, g: {{kind: x, model: a/b, {PINS}}}}}\ng: {{model: a/b}}\n"
    assert pinned(text, ["t", "g"], "a/b", SHA) == after


def test_a_commit_of_digits_only_stays_a_string() -> None:
    assert pinned("g: {model: a/b}\n", ["g"], "a/b", "1" * 40) == f'g: {{model: a/b, revision: "{"1" * 40}"}}\n'


@pytest.mark.parametrize(
    "text", ["g: {model: other/b}\n", "g: {kind: x}\n", "h: 1\n", "b: &b {model: a/b}\ng:\n  <<: *b\n", "g: a/b\n"]
)
def test_a_text_without_the_model_in_that_place_is_not_changed(text: str) -> None:
    assert pinned(text, ["g"], "a/b", SHA) is None


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file.yaml", tmp_path / "link.yaml"
    file.write_text("g: {model: a/b}\n", encoding="utf-8")
    file.chmod(0o640)
    link.symlink_to(file)
    assert pin(link, ["g"], "a/b", SHA)
    assert link.is_symlink()
    assert SHA in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o640
    assert len(list(tmp_path.iterdir())) == 2
