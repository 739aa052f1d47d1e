"""What differs between deployments, suites and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import InputError
from qttrag.evaluation.runs.compared_settings import common_kind, differences, read


def of(a: str, b: str, kind: Any) -> dict[str, tuple[Any, Any]]:
    return {each.setting: (each.one, each.other) for each in differences(read(a, kind), read(b, kind))}


def test_the_paper_s_deployment_differs_from_ours_in_its_named_settings_alone() -> None:
    assert of("served", "paper", "deployment") == {
        "retriever.collections": (["wiki-en", "wiki-ko"], ["wiki-en-kilt-100w", "wiki-ko-100w"]),
        "translator.unit": ("sentence", "passage"),
        "translator.beam_size": (4, 1),
        "tagger.system_turn": (True, False),
        "tagger.example": (False, True),
        "tagger.generator.weights": ("checkpoint", "int4"),
        "generator.weights": ("checkpoint", "int4"),
        "abstain": (True, False),
        "labels": ("query", "english"),
        "strategies.qtt_rag.tag_place": ("before", "after"),
        "strategies.qtt_rag.tag_form": ("of_five", "bare"),
        "strategies.dkm_rag.settings": ("faithful", "as_released"),
    }


def test_a_row_that_only_one_suite_has_is_one_difference() -> None:
    different = of("xor-tydi", "paper", "suite")
    assert different["generators.own"][1] is None
    assert different["strategies.hard_filter_released"][1]["drop"] == "any"
    assert not any(name.startswith("generators.own.") for name in different)


def test_a_setting_that_is_written_out_does_not_differ_from_its_default(tmp_path: Path) -> None:
    text = "retriever: {kind: bm25, collections: [a]}\ngenerator: {kind: openai, model: m, base_url: 'http://a'}\n"
    (tmp_path / "one.yaml").write_text(text)
    (tmp_path / "two.yaml").write_text(f"{text}depth: 50\nstrategies: {{hard_filter: {{threshold: 3.5}}}}\n")
    assert of(str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"), "deployment") == {}


def test_names_are_compared_as_what_both_may_be() -> None:
    assert common_kind("served", "paper") == ("deployment", "deployment")
    assert common_kind("xor-tydi", "paper") == ("suite", "suite")
    assert common_kind("served", "xor-tydi") == ("deployment", "suite")
    with pytest.raises(InputError, match="'papr' is no deployment, suite or run"):
        common_kind("papr", "paper")


def test_no_key_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "retriever: {kind: bm25, collections: [a]}\ngenerator: {kind: openai, model: m, base_url: 'http://u:%s@a'}\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(text % name)
    shown = of(str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"), "deployment")
    assert "one@" not in str(shown)
