"""The form of JSON that a schema is followed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import demo
from qttrag.errors import StageError
from qttrag.generators.schema import Forms, separators
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


@pytest.fixture(scope="module")
def forms() -> Forms:
    from llguidance.hf import from_tokenizer
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(Path(demo.__file__).parent / "models" / "language-model")
    return Forms(from_tokenizer(tokenizer))


def test_what_a_schema_leaves_no_choice_of_is_forced(forms: Forms, demo_tokenizer: Any) -> None:
    assert demo_tokenizer.decode(forms.follow(SCHEMA).forced()) == '{"semantic": '


def test_where_there_is_a_choice_nothing_is_forced(forms: Forms, demo_tokenizer: Any) -> None:
    form = forms.follow(SCHEMA)
    form.forced()
    assert form.forced() == []
    allowed = [demo_tokenizer.decode([token]) for token in np.flatnonzero(~form.forbidden()).tolist()]
    assert allowed == list("012345")


def test_a_reply_is_complete_where_only_its_end_can_follow(forms: Forms, demo_tokenizer: Any) -> None:
    form = forms.follow(SCHEMA)
    form.forced()
    reply = '{"semantic": 4, "grammar": 3, "fluency": 5}'
    for token in demo_tokenizer.encode(reply, add_special_tokens=False).ids[1:]:
        assert not form.complete
        form.write(token)
    assert form.complete


def test_a_token_that_is_not_allowed_is_an_error(forms: Forms, demo_tokenizer: Any) -> None:
    with pytest.raises(StageError, match="the form of the reply cannot be followed"):
        forms.follow(SCHEMA).write(demo_tokenizer.encode("x", add_special_tokens=False).ids[0])
