"""Whether passages support the sentences of a run's answers: claims, verdicts, resuming, and the measures by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.cli import main
from qttrag.errors import InputError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import AnswerCase, QuestionSet
from qttrag.evaluation.metrics.registry import evaluate
from qttrag.evaluation.report.gaps import gaps
from qttrag.evaluation.runs import scoring, support
from qttrag.evaluation.runs.folder import Run
from qttrag.types import Lang, Passage, TaggedPassage
from tests import tiny_models
from tests.evaluation.report.test_report import write_run

KO = Lang("ko")
QUESTION = Question("1", "다리는 언제 개통되었나?", KO, ("1905",))
TEXTS: dict[str, list[str | None]] = {
    "base": ["서울이다.", "", None],
    "qtt_rag": ["수도는 서울이다. 부산은 항구다."] * 3,
}


class ByWords:
    """Supports a claim on Seoul by a text with Seoul in any language; undecided about a text on Busan."""

    identity = "by words"

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    async def supports(self, premise: str, claim: str, lang: Lang) -> bool | None:
        self.seen.append((premise, claim, lang))
        if "부산" in claim and "Seoul" in premise:
            return None
        return "서울" in claim and any(name in premise for name in ("Seoul", "서울"))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write_run(tmp_path, TEXTS)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("1905년 [1, 2]", ["다리는 언제 개통되었나? 1905년"]),
        ("다리는 1905년에 개통되었다 [1]. 지금도 쓰인다.", ["다리는 1905년에 개통되었다.", "지금도 쓰인다."]),
        ("...", []),
    ],
)
def test_each_sentence_is_a_claim_and_one_alone_is_read_with_the_question(text: str, claims: list[str]) -> None:
    assert support.claims(QUESTION, text) == claims


async def test_every_sentence_is_judged_with_every_original_passage(run: Run) -> None:
    judge = ByWords()
    outcome = await support.support(run, judge)
    assert outcome == (4, 0, 3 * (1 + 3 * 2), 2 * 3)  # the failed and the empty answer are not judged
    assert {lang for *_, lang in judge.seen} == {"ko"}
    assert not any("서울특별시" in premise for premise, *_ in judge.seen)  # a translation is not evidence


async def test_the_verdicts_become_measures_and_a_note_names_the_judge(run: Run) -> None:
    await support.support(run, ByWords())
    scored = scoring.score(run)
    by_strategy = {cell.cell.strategy: cell.values["0"] for cell in scored}
    shares = {name: by_strategy["base"][name] for name in by_strategy["base"] if name.startswith("supported")}
    assert shares == dict.fromkeys(("supported", "supported_native", "supported_foreign"), (1.0, 1.0))
    assert by_strategy["qtt_rag"]["supported"] == (1.0, 1.0)  # whether Busan is supported is undecided
    assert by_strategy["qtt_rag"]["supported_native"] == (1.0, 2.0)
    assert any("support judged by by words; 6 of 21 pairs" in note for note in gaps(run, scored))


async def test_an_interrupted_judgement_goes_on_and_another_judge_is_refused(run: Run) -> None:
    await support.support(run, ByWords())
    path = run.folder / support.FILE
    path.write_bytes(path.read_bytes()[:-10])
    assert (await support.support(run, ByWords()))[:2] == (1, 3)
    other = ByWords()
    other.identity = "other"
    with pytest.raises(InputError, match="another judge"):
        await support.support(run, other)


async def test_a_verdict_is_of_the_answer_and_its_passages(run: Run) -> None:
    await support.support(run, ByWords())
    file = run.cells()[0].file(run.folder)
    file.write_text(file.read_text("utf-8").replace("The capital is Seoul", "The capital is Busan"), "utf-8")
    base, ours = scoring.score(run)
    assert "supported" not in base.values["0"]
    assert "supported" in ours.values["0"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[True, False]], ((1, 1), (1, 1), (0, 1))),
        ([[False, True], [False, False]], ((1, 2), (0, 2), (1, 2))),
        ([[None, True], [None, False]], ((1, 1), None, (1, 2))),
        ([], (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_shares_of_sentences_by_hand(
    rows: list[list[bool | None]] | None, expected: tuple[tuple[int, int] | None, ...]
) -> None:
    context = (TaggedPassage(Passage("k", "다리", KO)), TaggedPassage(Passage("e", "bridge", Lang("en"))))
    case = AnswerCase(QUESTION, AnswerRecord("1", "x", context), QuestionSet("jsonl", [QUESTION]), support=rows)
    values = evaluate(case)
    assert tuple(values.get(name) for name in ("supported", "supported_native", "supported_foreign")) == expected


def test_an_answer_without_foreign_passages_says_nothing_about_their_support() -> None:
    context = (TaggedPassage(Passage("k", "다리", KO)),)
    case = AnswerCase(QUESTION, AnswerRecord("1", "x", context), QuestionSet("jsonl", [QUESTION]), support=[[True]])
    assert "supported_foreign" not in evaluate(case)


def test_the_command_judges_a_run_and_shows_the_shares(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_models.make_nli(tmp_path / "nli", ("entailment", "neutral"), always=0)
    settings = ["--judge", "nli", "--judge-set", f"model={model}", "--judge-set", "device=cpu", "-c", "laptop"]
    monkeypatch.setattr("sys.argv", ["qttrag", "eval", "support", str(run.folder), *settings])
    monkeypatch.setenv("COLUMNS", "250")
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr().out
    assert not end.value.code
    assert "4 answers judged, 0 before" in printed
    assert "0 of 21 pairs of sentence and passage undecided" in printed
    assert printed.count("100.0 [") >= 6  # this model always says entailment
