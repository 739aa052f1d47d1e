"""The form of JSON that a schema is followed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import demo
from qttrag.generators.schema import separators
from qttrag.taggers.verdicts import SCHEMA


@pytest.fixture(scope="module")
def demo_tokenizer() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(Path(demo.__file__).parent / "models" / "language-model" / "tokenizer.json"))


def test_a_space_that_is_a_token_is_left_out() -> None:
    assert separators(SCHEMA, len) == (",", ":")


def test_spaces_that_cost_no_token_stay() -> None:
    assert separators(SCHEMA, lambda text: text.count('"')) == (", ", ": ")


def test_the_demos_model_writes_the_form_of_its_training(demo_tokenizer: Any) -> None:
    def length(text: str) -> int:
        return len(demo_tokenizer.encode(text, add_special_tokens=False).ids)

    assert separators(SCHEMA, length) == (", ", ": ")


def test_a_schema_without_properties_keeps_its_spaces() -> None:
    assert separators({"type": "array"}, len) == (", ", ": ")
