"""`make demo-real`, without its weights: `make test-real` has the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from demo import real
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.config.deployment import Deployment
from qttrag.trace import Note, Trace
from qttrag.types import Answer, Lang, Passage, QualityScores, Query, TaggedPassage


def test_every_package_has_the_version_that_the_tests_on_pretrained_weights_have() -> None:
    assert [line.partition("==")[0] for line in real.pinned()] == sorted(real.PACKAGES)
    assert all(line.partition("==")[2] for line in real.pinned())


def test_every_package_and_model_is_shown_with_its_licence() -> None:
    shown = " ".join(terms.name for terms in real.IN_PACKAGES)
    assert all(package in shown for package in real.PACKAGES)
    assert all(terms.licence for terms in (*real.IN_PACKAGES, *real.ON_HUB))


def test_the_models_of_the_hub_are_those_of_the_laptop_deployment() -> None:
    laptop = config.load("laptop")
    stages: list[dict[str, Any] | None] = [
        laptop.retriever["encoder"],
        laptop.reranker,
        laptop.translator,
        laptop.generator,
    ]
    assert [terms.name for terms in real.ON_HUB] == [stage["model"] for stage in stages if stage]


def test_the_questions_are_those_that_the_laptop_deployment_offers() -> None:
    offered = [question for some in config.load("laptop").examples.values() for question in some]
    assert set(real.QUESTIONS) <= set(offered)


def test_the_settings_of_the_packaged_models_are_valid(tiny: Path) -> None:
    settings = real.packaged_settings(str(tiny / "encoder"), str(tiny / "llama"))
    assert Application.open(Deployment.model_validate(settings)).stages.top_k == 3


def test_an_answer_is_shown_with_what_was_translated_and_scored(capsys: pytest.CaptureFixture[str]) -> None:
    context = (
        TaggedPassage(Passage("1", "Kirjasto", Lang("fi")), "Library", QualityScores(1, 2, 3)),
        TaggedPassage(Passage("2", "Sauna", Lang("fi")), "Sauna", unscored="unreadable"),
        TaggedPassage(Passage("3", "Library", Lang("en"))),
    )
    trace = Trace(notes=[Note("one translation is unscored")])
    real.show(Answer(Query("?", Lang("en"), "q"), "2018", Lang("en"), context, trace, strategy="qtt_rag"))
    assert capsys.readouterr().out.splitlines() == [
        "qtt_rag: 2018",
        "    read: fi, fi, en; translated: 2; scored: 1",
        "    note: one translation is unscored",
    ]
