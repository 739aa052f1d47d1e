"""The texts of the page in its languages, without a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qttrag.application import registry

STATIC = Path(__file__).parents[2] / "qttrag" / "server" / "static"
FILES = sorted((STATIC / "locales").glob("*.json"))


def texts(file: Path) -> dict[str, str]:
    """Return the texts by dotted key."""

    def flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for name, value in node.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", value

    return dict(flat(json.loads(file.read_text(encoding="utf-8"))))


ENGLISH = texts(STATIC / "locales" / "en.json")


def test_there_is_a_file_for_each_language_that_the_page_offers() -> None:
    offered = re.search(r"const NAMES = \{(.*)\}", (STATIC / "js" / "i18n.js").read_text(encoding="utf-8"))
    assert offered is not None
    assert sorted(re.findall(r"(\w\w):", offered[1])) == [file.stem for file in FILES]
    assert {"en", "ko", "fi", "zh", "ja", "ar", "es"} <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_language_has_every_text_with_the_same_placeholders(file: Path) -> None:
    own = texts(file)
    assert own.keys() == ENGLISH.keys()
    for key, text in own.items():
        assert text.strip(), key
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", ENGLISH[key])), key


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != "en"], ids=lambda file: file.stem)
def test_no_sentence_is_left_in_english(file: Path) -> None:
    same = [key for key, text in texts(file).items() if text == ENGLISH[key] and " " in text]
    assert same == []


def test_every_text_that_the_page_uses_exists() -> None:
    files = [STATIC / "page.html", *(STATIC / "js").glob("*.js")]
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    used = re.findall(r"""\bt\("([\w.]+)"|data-(?:text|label|placeholder)="([\w.]+)"|copying\("([\w.]+)\"""", source)
    assert len(used) > 80
    assert sorted({key for keys in used for key in keys if key} - ENGLISH.keys()) == []


def test_every_strategy_is_explained() -> None:
    assert {key.split(".")[1] for key in ENGLISH if key.startswith("strategies.")} == set(registry.kinds("strategy"))
