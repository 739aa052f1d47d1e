"""The wording of common errors."""

from __future__ import annotations

import pytest

from qttrag.errors import ConfigError, describe, first_line, renamed, unknown
from qttrag.evaluation.metrics import registry


def test_the_first_line_of_an_error_is_the_first_with_text() -> None:
    assert first_line(ValueError("\n  bad value  \nat line 3")) == "bad value"


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert (first_line(MemoryError()), describe(MemoryError())) == ("MemoryError", "MemoryError")
    assert describe(ValueError("bad\nvalue")) == "ValueError: bad"


def test_an_unknown_name_is_reported_with_the_nearest_one() -> None:
    assert unknown("strategy", "qttrag", ["base", "qtt_rag"]) == (
        "unknown strategy 'qttrag'; did you mean 'qtt_rag'? (known: base, qtt_rag)"
    )


def test_an_old_name_is_reported_with_the_new_one() -> None:
    assert renamed("kept", "cache_hits") == "`kept` is now `cache_hits`; use the new name"
    with pytest.raises(ConfigError, match="measure `kept` is now `cache_hits`"):
        registry.check("kept")
