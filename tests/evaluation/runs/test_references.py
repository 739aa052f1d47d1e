"""Reference translations, and the oracle scores from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.metrics.chrf import chrf
from qttrag.evaluation.runs import references
from qttrag.pipeline import tag_controls
from qttrag.trace import Trace
from qttrag.types import CriticalError, Lang, Passage, QualityScores, TaggedPassage

FINNISH = Lang("fi")
SCORES = QualityScores(2.0, 3.0, 4.0)
ERRORS = (CriticalError("numbers", ("1550",)),)


def translated(name: str, translation: str, scores: QualityScores | None = SCORES) -> TaggedPassage:
    return TaggedPassage(Passage(name, "x", Lang("en")), translation, scores, critical_errors=ERRORS)


def write(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture
def oracle(tmp_path: Path) -> references.ReferenceOracle:
    lines = [f'{{"id": "{name}", "lang": "fi", "text": "Helsinki on Suomen pääkaupunki."}}' for name in "ab"]
    return references.read(write(tmp_path / "r.jsonl", *lines))


def test_oracle_scores_are_five_times_chrf_without_critical_errors(oracle: references.ReferenceOracle) -> None:
    passages = [translated("a", "Helsinki on Suomen pääkaupunki."), translated("b", "Helsinki on kaupunki.")]
    perfect, worse = tag_controls.by_reference(passages, FINNISH, oracle)
    expected = round(5 * chrf("Helsinki on kaupunki.", ["Helsinki on Suomen pääkaupunki."]), 1)
    assert (perfect.scores, worse.scores) == (QualityScores(5.0, 5.0, 5.0), QualityScores(*[expected] * 3))
    assert not perfect.critical_errors


def test_only_criteria_that_the_tagger_measures_have_oracle_scores(oracle: references.ReferenceOracle) -> None:
    (changed,) = tag_controls.by_reference([translated("a", "x", QualityScores(2.0))], FINNISH, oracle)
    assert changed.scores is not None
    assert len(changed.scores.measured()) == 1


def test_translations_without_a_reference_keep_their_scores_and_are_counted(oracle: references.ReferenceOracle) -> None:
    passages = [translated("a", "x"), translated("unknown", "x"), translated("b", "x", None)]
    trace = Trace()
    with trace.stage("control"):
        _, unknown, unscored = tag_controls.by_reference(passages, FINNISH, oracle)
    assert (unknown, unscored) == tuple(passages[1:])
    assert (trace.counts["control.with_reference"], trace.counts["control.without_reference"]) == (1, 1)


def test_a_reference_in_another_language_is_none(oracle: references.ReferenceOracle) -> None:
    assert oracle(translated("a", "x"), Lang("ko")) is None


def test_damaged_files_are_refused_by_line(tmp_path: Path) -> None:
    good = '{"id": 1, "lang": "fi", "text": "x"}'
    with pytest.raises(InputError, match=r"r\.jsonl:2: no reference"):
        references.read(write(tmp_path / "r.jsonl", good, '{"id": 2}'))
    with pytest.raises(InputError, match=r"r\.jsonl:2: a second reference of '1' in 'fi'"):
        references.read(write(tmp_path / "r.jsonl", good, good))
    with pytest.raises(ConfigError, match="no such file"):
        references.read(str(tmp_path / "absent"))
