"""What all tagger kinds have in common."""

from __future__ import annotations

import inspect

import pytest

from qttrag.application import registry
from qttrag.application.factory import settings_of
from qttrag.types import CRITERIA

KINDS = sorted(registry.KINDS["tagger"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_says_what_it_measures(kind: str) -> None:
    measures = registry.resolve("tagger", kind).measures  # type: ignore[attr-defined]
    assert "semantic" in measures
    assert [name for name in CRITERIA if name in measures] == list(measures)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_settings_of_critical_errors(kind: str) -> None:
    settings = {setting.name: setting.default for setting in settings_of(registry.resolve("tagger", kind))}
    assert (settings["flags"], settings["cap"]) == (True, None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_method_of_the_protocol(kind: str) -> None:
    score = registry.resolve("tagger", kind).score  # type: ignore[attr-defined]
    assert inspect.iscoroutinefunction(score)
    assert list(inspect.signature(score).parameters) == ["self", "originals", "translations", "source", "target"]
