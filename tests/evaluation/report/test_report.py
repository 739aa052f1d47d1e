"""The figures, comparisons, tables and report page of a run, without models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.effective import effective, flat
from qttrag.config import deployment as config
from qttrag.errors import ConfigError
from qttrag.evaluation import suites
from qttrag.evaluation.answers import AnswerRecord, RankedPassage
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import AnswerCase, QuestionSet
from qttrag.evaluation.metrics.registry import evaluate, measures
from qttrag.evaluation.report import charts, reported, tables
from qttrag.evaluation.report.page import _passage, page
from qttrag.evaluation.report.run_charts import _score_histograms, across_rows
from qttrag.evaluation.runs import figures, scoring
from qttrag.evaluation.runs.answer_files import AnswerFile, Cell
from qttrag.evaluation.runs.folder import References, Run, open_run, write_file, write_lines
from qttrag.evaluation.runs.overlap import overlaps
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage

HOSTILE = '</script><script>alert("x")</script>&<b>'
ENGLISH = Passage("e", f"The capital is Seoul. {HOSTILE}", Lang("en"), "Korea")
KOREAN = Passage("k", "수도는 서울이다.", Lang("ko"), "한국")


def write_run(folder: Path, texts: Mapping[str, Sequence[str | None]], *, measure: str = "char3_bergen") -> Run:
    """Write a run in which strategy S answered question N with texts[S][N]."""
    n = len(next(iter(texts.values())))
    suite = {
        "name": "made", "headline": {"measure": measure, "of": list(texts)[-1], "over": next(iter(texts))},
        "datasets": {"made": {"kind": "mkqa"}}, "generators": {"own": {}}, "strategies": {name: {} for name in texts},
    }  # fmt: skip
    identity = {"layout": 1, "qttrag": "0", "suite": suite, "questions": {"made ko": ""}}
    sessions: list[dict[str, Any]] = [{"libraries": {"torch": "1"}}, {"libraries": {"torch": "2"}}]
    write_file(folder / "run.json", json.dumps({"identity": identity, "sessions": sessions, "notes": ["few"]}))
    asked = [
        Question(
            str(i), f"수도는? {HOSTILE}", Lang("ko"), ("서울특별시",), {"en": ("Seoul",)}, official_answers=("Seoul",)
        )
        for i in range(n)
    ]
    write_lines(folder / "questions" / "made ko.jsonl", map(_fields, asked))
    for strategy, said in texts.items():
        file = AnswerFile(Cell("made ko", "own", strategy).file(folder))
        for number, text in enumerate(said):
            file.append(_record(str(number), text))
        file.close()
    return open_run(folder)


def _fields(question: Question) -> dict[str, Any]:
    return {name: getattr(question, name) for name in question.__slots__}


def _record(question_id: str, text: str | None) -> AnswerRecord:
    if text is None:
        return AnswerRecord(question_id, None, error=f"StageError: {HOSTILE}")
    context = (
        TaggedPassage(ENGLISH, "수도는 서울특별시.", QualityScores(4.0, 3.0, 5.0)),
        TaggedPassage(ENGLISH, "", unscored="empty"),
        TaggedPassage(KOREAN),
    )
    counts = {"answer.calls": 1, "translate.computed": 2}
    return AnswerRecord(question_id, text, context, seconds={"answer": 0.5}, counts=counts, notes=(HOSTILE,))


@pytest.fixture
def made(tmp_path: Path) -> Run:
    good = ["서울특별시"] * 30 + ["Seoul"] * 10
    bad = ["부산", None, *["서울특별시"] * 10, *["모른다"] * 28]
    return write_run(tmp_path / "run", {"base": bad, "qtt_rag": good})


def test_figures_are_means_over_what_was_answered(made: Run) -> None:
    base, ours = scoring.score(made)
    by_cell = figures.figures([base, ours])
    assert by_cell[base.cell]["char3_bergen"].n == 39
    assert by_cell[base.cell]["char3_bergen"].interval.value == pytest.approx(10 / 39)
    assert by_cell[ours.cell]["char3_bergen"].interval.value == 0.75
    assert by_cell[ours.cell]["wrong_language"].interval.value == 0.25
    assert by_cell[ours.cell]["correct_language"].interval.value == 0.75
    assert by_cell[ours.cell]["r_lang"].interval.value == pytest.approx(2 / 3)
    assert by_cell[ours.cell]["unscored"].interval.value == 0.5
    assert by_cell[ours.cell]["translated"].interval.value == 2
    assert by_cell[ours.cell]["answer_recall_native@5"].interval.value == 0.0
    assert by_cell[ours.cell]["answer_recall_foreign@5"].interval.value == 1.0
    assert "nDCG@10" not in by_cell[ours.cell]


def test_a_question_for_which_nothing_was_found_counts_as_zero_in_retrieval(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": []})
    asked = [Question(n, "수도는?", Lang("ko"), ("서울",), gold=("g",)) for n in "ab"]
    write_lines(tmp_path / "questions" / "made ko.jsonl", map(_fields, asked))
    file = AnswerFile(Cell("made ko", "own", "base").file(tmp_path))
    file.append(AnswerRecord("a", "서울", ranking=(RankedPassage("x", 2.0), RankedPassage("g#1", 1.0)), search="00"))
    file.append(AnswerRecord("b", "서울", search="01"))
    file.close()
    (scored,) = scoring.score(run)
    assert {name: values["RR@10"] for name, values in scored.values.items()} == {"a": (0.5, 1.0), "b": (0.0, 1.0)}


def test_every_figure_carries_its_signature(made: Run) -> None:
    data = figures.as_document(made, scoring.score(made)).model_dump(mode="json")
    for cell in data["cells"]:
        for name, figure in cell["figures"].items():
            references = "references:official" if measures()[name].official else "aliases:no"
            data_and_lang = f"|data:made ko|format:mkqa|{references}|lang:ko|generator:own"
            rest = f"{data_and_lang}|strategy:{cell['strategy']}|n:{figure['n']}|ci:{figure['method']}|v:"
            assert figure["signature"].startswith(measures()[name].signature + rest)
    json.dumps(data, allow_nan=False)


def test_official_measures_compare_with_the_references_of_the_official_scorer(made: Run) -> None:
    _, ours = scoring.score(made)
    by_name = figures.figures([ours])[ours.cell]
    assert (by_name["em_fair"].interval.value, by_name["em_official"].interval.value) == (0.75, 0.25)


def test_failures_and_causes_are_in_the_scores(made: Run) -> None:
    base, ours = figures.as_document(made, scoring.score(made)).model_dump(mode="json")["cells"]
    assert (base["answered"], base["failed"], ours["failed"]) == (39, 1, 0)
    assert base["unscored"] == {"empty": 39}


def test_failed_questions_are_left_out_and_shown_as_zeros(made: Run) -> None:
    base, _ = figures.as_document(made, scoring.score(made)).cells
    shown = base.figures["char3_bergen"]
    assert shown.n == 39
    assert shown.value == pytest.approx(10 / 39)
    assert shown.as_zero is not None
    assert shown.as_zero.value == 0.25
    assert base.figures["seconds"].as_zero is None


def test_a_strategy_without_any_answer_is_shown_with_its_reason(run: Any, tmp_path: Path) -> None:
    unanswered = write_run(tmp_path / "run", {"base": [None] * 3, "qtt_rag": ["서울특별시"] * 3})
    _, out, _ = run("score", unanswered.folder)
    assert "made ko · own · base: all failed, e.g. StageError" in out
    assert "– (failed 3)" in out


def test_answers_that_an_outage_degraded_are_counted_on_both_sides_of_a_comparison(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"base": ["부산"] * 3, "qtt_rag": []})
    file = AnswerFile(Cell("made ko", "own", "qtt_rag").file(tmp_path))
    for number in range(3):
        unscored = TaggedPassage(ENGLISH, "서울", unscored="unavailable" if number else None)
        file.append(AnswerRecord(str(number), "서울", (unscored,)))
    file.append(AnswerRecord("0", "서울", missing=("translations are unscored",)))
    file.close()
    (compared,) = figures.comparisons(scoring.score(run), "char3_bergen", "base")
    assert (compared.degraded_of, compared.degraded_over) == (3, 0)
    assert tables.comparison_table([compared]).rows[0][4] == "3 – 0"


def test_strategies_are_compared_on_the_questions_that_both_answered(made: Run) -> None:
    (compared,) = figures.comparisons(scoring.score(made), "char3_bergen", "base")
    assert (compared.of, compared.over, compared.n) == ("qtt_rag", "base", 39)
    assert compared.difference.value == pytest.approx(29 / 39 - 10 / 39)
    assert compared.p == compared.p_holm < 0.001


def test_comparisons_are_corrected_for_being_several(tmp_path: Path) -> None:
    some = ["서울특별시"] * 7 + ["부산"] * 13
    none = ["부산"] * 20
    run = write_run(tmp_path, {"base": none, "one": some, "other": some})
    one, other = figures.comparisons(scoring.score(run), "char3_bergen", "base")
    assert one.p_holm == other.p_holm == pytest.approx(2 * one.p)


def test_a_change_of_libraries_between_sessions_is_noted(made: Run) -> None:
    assert made.notes == ["few", 'changed between sessions of the run: libraries.torch: "1", "2"']


def test_scores_again_are_the_same(made: Run) -> None:
    assert figures.as_document(made, scoring.score(made)) == figures.as_document(made, scoring.score(made))


class Page(HTMLParser):
    """Collects the tags of a page and what its scripts hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.scripts:
            self.scripts[-1] += data


def read_page(run: Run) -> tuple[str, Page]:
    scored = scoring.score(run)
    by_cell = figures.figures(scored)
    html = page(run, scored, by_cell, [tables.main_table(by_cell, "char3_bergen", {})])
    parsed = Page()
    parsed.feed(html)
    return html, parsed


def test_no_text_of_a_run_becomes_part_of_the_page(made: Run) -> None:
    html, parsed = read_page(made)
    assert [tag for tag, _ in parsed.tags].count("script") == 2
    assert "<b>" not in html
    data = json.loads(parsed.scripts[0])
    (asked, *_) = data["places"]["made ko · own"]
    assert asked["question"].endswith(HOSTILE)
    assert asked["given"]["base"]["notes"] == [HOSTILE]


def test_the_page_needs_nothing_else(made: Run) -> None:
    _, parsed = read_page(made)
    assert not [value for _, attrs in parsed.tags for name, value in attrs.items() if name in ("src", "href")]
    (policy,) = [attrs["content"] for tag, attrs in parsed.tags if attrs.get("http-equiv")]
    assert "default-src 'none'" in str(policy)


def test_answers_are_filtered_by_outcome(made: Run) -> None:
    _, parsed = read_page(made)
    outcomes = [question["outcome"] for question in json.loads(parsed.scripts[0])["places"]["made ko · own"]]
    assert outcomes[:3] == ["gain", "failed", "both"]
    assert outcomes[-1] == "none"
    assert outcomes.count("gain") == 19


def test_the_page_has_a_chart_of_each_kind(made: Run) -> None:
    html, _ = read_page(made)
    for title in (
        "by strategy",
        "semantic scores",
        "by mean score",
        "gain of qtt_rag over base",
        "seconds per question",
    ):
        assert title in html


def test_the_rows_of_a_language_have_charts_across_them(made: Run) -> None:
    scored = scoring.score(made)
    assert list(across_rows("char3_fair", scored, figures.figures(scored))) == []  # one row alone
    scored += [replace(cell, cell=cell.cell._replace(dataset="foreign ko")) for cell in scored]
    shown = "".join(across_rows("char3_fair", scored, figures.figures(scored)))
    for measure in ("char3_fair", "correct_language", "wrong_language"):
        assert f"ko · own · qtt_rag: {measure} by dataset" in shown
    assert shown.count("foreign ko") == shown.count("made ko") == 6


def test_parallel_questions_are_compared_across_languages(made: Run) -> None:
    korean = scoring.score(made)
    finnish = [replace(cell, cell=cell.cell._replace(dataset="made fi"), lang="fi") for cell in korean]
    entry = figures.as_document(made, [*korean, *finnish]).overlaps[0]
    assert (entry.figures["overlap"].value, entry.figures["only_one"].value) == (1.0, 0.0)
    table = tables.across_languages(overlaps([*korean, *finnish]))
    assert table is not None
    assert [row[:5] for row in table.rows] == [
        ["made", "own", name, "ko fi", n] for name, n in (("base", "39"), ("qtt_rag", "40"))
    ]
    assert tables.across_languages([]) is None


def test_a_single_score_is_reported_alone() -> None:
    context = (TaggedPassage(ENGLISH, "수도는 서울특별시.", QualityScores(4.0)),)
    cell = scoring.ScoredCell(
        Cell("d", "g", "qtt_rag"),
        "ko",
        References("given", "given"),
        {"1": AnswerRecord("1", "서울", context)},
        {"1": {}},
        {},
    )
    assert [name for name, _ in _score_histograms(cell)] == ["semantic"]
    assert _passage(context[0])["tag"] == "semantic 4"


def test_charts_escape_their_words_and_draw_no_empty_axes() -> None:
    drawn = charts.bars("<i>", [charts.Bar("<b>", -1.0, -2.0, 0.5), charts.Bar("x", 2.0)])
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert charts.bars("t", []) == charts.stacked("t", {"a": {}}) == ""


def test_tables_are_markdown_and_latex(made: Run) -> None:
    scored = scoring.score(made)
    table = tables.main_table(figures.figures(scored), "char3_bergen", {scored[0].cell: 1})
    shown = r"\| made ko \| own \| 39-40 \| 25\.6 \[\d+\.\d, \d+\.\d\] \(failed 1; as 0: 25\.0\) \| 75\.0 \[[^(]+ \|\n"
    assert re.search(shown, tables.markdown([table]))
    tex = tables.latex([table])
    assert r"dataset & generator & n & base & qtt\_rag \\" in tex
    assert "% char3|norm:bergen|data:made ko" in tex


def test_reported_figures_are_shown_beside_ours(tmp_path: Path, made: Run) -> None:
    by_cell = figures.figures(scoring.score(made))
    published = reported.ReportedFigures(
        source="arXiv:1", measure="char3_bergen", strategies=["base"], figures={"made ko": {"own": [20.0]}}
    )
    (row,) = tables.beside_reported(by_cell, published).rows
    assert (row[:5], row[6:]) == (["made ko", "own", "base", "39", "–"], ["20.0", "+5.6"])


def test_other_questions_settings_and_models_than_those_of_published_figures_are_named(made: Run) -> None:
    published = reported.ReportedFigures(
        source="arXiv:1", measure="char3_bergen", strategies=["base"], figures={"made ko": {"own": [20.0]}},
        n={"made ko": 371}, settings={"depth": 50, "reranker.model": "m"}, models={"own": "theirs"},
    )  # fmt: skip
    deployment = {"depth": 50, "reranker": {"kind": "none"}, "generator": {"model": "ours"}}  # no valid deployment
    identity = {**made.identity, "deployments": {"own": deployment}}
    assert published.differences(replace(made, identity=identity), scoring.score(made)) == [
        "made ko: 39 questions here, 371 in arXiv:1",
        "reranker.model None here, m in arXiv:1",
        "generator.model ours here, theirs in arXiv:1",
    ]


def as_run_of(made: Run, *names: str) -> Run:
    """Return the run as if deployments of these names had answered its questions, each under its name."""
    deployments = {name: config.load(name).model_dump(mode="json") for name in names}
    suite = {**made.identity["suite"], "strategies": {"base": {}, "qtt_rag": {}}}
    return replace(made, identity={**made.identity, "suite": suite, "deployments": deployments})


def test_a_run_as_reported_differs_in_no_setting_and_one_with_ours_in_each(made: Run) -> None:
    paper = reported.load("paper")
    published = paper.model_copy(
        update={
            "figures": {"made ko": {"own": [20.0] * 5}},
            "n": {},
            "models": {},
            "settings": {k: v for k, v in paper.settings.items() if k != "strategies.dkm_rag.settings"},
        }
    )
    cells = scoring.score(made)
    as_reported, ours = as_run_of(made, "paper"), as_run_of(made, "served")
    for run in (as_reported, ours):
        run.identity["deployments"]["own"] = next(iter(run.identity["deployments"].values()))
    assert published.differences(as_reported, cells) == []
    assert {line.split()[0] for line in published.differences(ours, cells)} == {
        "retriever.collections", "translator.unit", "translator.beam_size", "tagger.system_turn", "tagger.example",
        "tagger.generator.weights", "generator.weights", "abstain", "labels", "strategies.qtt_rag.tag_place",
        "strategies.qtt_rag.tag_form",
    }  # fmt: skip


def test_the_relative_gains_of_the_paper_follow_from_its_figures() -> None:
    paper = reported.load("paper")
    values = {
        Cell(dataset, generator, strategy): figure
        for dataset, rows in paper.figures.items()
        for generator, row in rows.items()
        for strategy, figure in zip(paper.strategies, row, strict=True)
    }
    gains = paper.gains(values)
    assert [(gain.reported.dataset, gain.n) for gain in gains] == [("xor ko", 6), ("mkqa ko", 6)]
    assert [round(gain.here, 1) for gain in gains] == [gain.reported.mean for gain in gains]


def test_further_published_figures_stand_beside_ours(made: Run) -> None:
    published = reported.ReportedFigures(
        source="arXiv:1", measure="char3_bergen", strategies=["base", "qtt_rag"], figures={},
        shares=[reported.ReportedShare(measure="r_lang", strategy="qtt_rag", figures={"made ko": 60.0})],
        relative_gains=[reported.ReportedGain(dataset="made ko", of="qtt_rag", over="base", mean=100.0)],
    )  # fmt: skip
    rows = tables.further_reported(figures.figures(scoring.score(made)), published).rows
    assert [rows[0][0], rows[0][-2], rows[0][-1]] == ["r_lang %", "60.0", "+6.7"]
    assert rows[1][-3:] == ["+192.5", "+100.0", "+92.5"]  # 75 % against 10 of 39


def test_the_suite_paper_has_the_settings_that_its_figures_are_compared_with() -> None:
    paper, suite = reported.load("paper"), suites.load("paper")
    for generator in suite.generators:
        settings = effective(suite.deployment_for(generator))
        own = flat({**settings, "generator": settings["generator"]})
        for name, there in paper.settings.items():
            assert set(there) <= set(own[name]) if isinstance(there, list) else own[name] == there, name


def test_the_paper_names_its_questions_and_models() -> None:
    paper = reported.load("paper")
    suite = suites.load("paper")
    assert (paper.n["xor ko"], paper.n["mkqa zh"]) == (371, 2827)
    for generator in suite.generators:
        own = suite.deployment_for(generator).model_dump(mode="json")
        assert own["generator"]["model"] == paper.models[generator]
        assert (own["depth"], own["top_k"], own["answer_tokens"]) == (50, 5, 128)
        assert own["reranker"]["model"] == paper.settings["reranker.model"]
        assert own["translator"]["model"] == paper.settings["translator.model"]


def test_a_table_that_is_wider_than_the_terminal_is_turned(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")
    six = write_run(tmp_path / "run", {name: ["서울특별시"] for name in names})
    _, wide, _ = run("score", six.folder)
    assert re.search(r"dataset +generator +n +base +cross_rag", wide)
    monkeypatch.setenv("COLUMNS", "80")
    _, narrow, _ = run("score", six.folder)
    assert re.search(r"query_translation +100\.0 \[", narrow)
    assert not re.search(r"dataset +generator +n +base", narrow)


def test_the_papers_figures_are_those_of_the_paper() -> None:
    paper = reported.load("paper")
    assert paper.of(Cell("xor ko", "Exaone-3.5-2.4B", "qtt_rag")) == 41.3
    assert paper.of(Cell("mkqa zh", "Phi-4", "hard_filter")) == 33.7
    assert paper.of(Cell("xor fi", "Aya-Expanse-8B", "dkm_rag")) == 58.3
    assert paper.of(Cell("xor ja", "Phi-4", "base")) is None
    assert sum(len(row) for rows in paper.figures.values() for row in rows.values()) == 120


def test_reported_figures_with_a_missing_one_are_refused(tmp_path: Path) -> None:
    text = "source: s\nmeasure: char3_bergen\nstrategies: [base, qtt_rag]\nfigures: {a: {b: [1]}}\n"
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ConfigError, match="must have 2 figures"):
        reported.load(str(tmp_path / "r.yaml"))


def test_score_prints_the_tables_and_what_they_lack(run: Any, made: Run) -> None:
    code, out, _ = run("score", made.folder)
    assert code == 0
    assert "25.6 [" in out
    assert "qtt_rag – base" in out
    assert "1 of 40 failed, e.g. StageError" in out
    assert out.index("--retry-failed") < out.index("25.6 [")
    assert "39 translations unscored: empty" in out
    assert "1 of 40 failed" in (made.folder / "tables.md").read_text("utf-8").splitlines()[0]
    assert {"scores.json", "tables.md", "tables.tex", "report.html"} <= {path.name for path in made.folder.iterdir()}


def test_score_as_json_is_what_scores_json_holds(run: Any, made: Run) -> None:
    _, out, _ = run("score", made.folder, "--json")
    assert out == json.loads((made.folder / "scores.json").read_text("utf-8"))


def test_compare_says_how_two_runs_differ(run: Any, made: Run, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", {"base": ["서울특별시"] * 40}, measure="em_fair")
    code, out, _ = run("compare", made.folder, other.folder)
    assert code == 0
    assert re.search(r"made ko +own +base – base +39 +0 – 0 +\+74\.4", out)
    assert 'differs in suite.headline.measure: "char3_bergen", "em_fair"' in out


def test_show_prints_all_answers_to_one_question(run: Any, made: Run) -> None:
    code, out, _ = run("show", made.folder, "-q", "1")
    assert code == 0
    assert "references: 서울특별시" in out
    assert "failed: StageError" in out
    assert "made ko · own · qtt_rag" in out
    assert run("show", made.folder, "-q", "1", "--json")[1]["made ko"]["answers"][1]["text"] == "서울특별시"


def test_what_does_not_exist_is_named(run: Any, made: Run) -> None:
    assert "unknown question 'x'" in run("show", made.folder, "-q", "x")[2]
    assert "unknown measure 'char3'" in run("score", made.folder, "-m", "char3")[2]
    assert "no run in" in run("score", "nowhere")[2]
    assert (
        "unknown file of reported figures 'papr'; did you mean 'paper'"
        in run("score", made.folder, "--against", "papr")[2]
    )


@pytest.mark.parametrize("text", ["", "東京タワーは高い。" * 120_000])
@pytest.mark.parametrize("kind", ["xor_tydi", "mkqa", "jsonl"])
def test_an_empty_answer_and_one_of_a_megabyte_are_measured(kind: str, text: str) -> None:
    question = Question("1", "高さは？", Lang("ja"), ("333メートル",), official_answers=("333メートル",))
    values = evaluate(AnswerCase(question, AnswerRecord("1", text), QuestionSet(kind, [question])))
    assert values["char3_fair"] == (0.0, 1.0)
    assert ("f1_official" in values) == (kind != "jsonl")
