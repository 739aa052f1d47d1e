"""Runs of suites on tiny models: answered once, killed and resumed, failed and retried, reproducible."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, InputError, StageError
from qttrag.evaluation import suites
from qttrag.evaluation.answers import AnswerRecord, RankedPassage
from qttrag.evaluation.runs import scoring
from qttrag.evaluation.runs.answer_files import AnswerFile, Cell, dumps, latest, loads
from qttrag.evaluation.runs.folder import open_run
from qttrag.evaluation.runs.runner import Outcome, Selection, run
from qttrag.types import CriticalError, Lang, Passage, QualityScores, TaggedPassage
from tests import deployment, suite
from tests.openai_client.server import Reply, Server, failure, text_reply
from tests.suite import figures, lines

CELLS = 2 * len(suite.STRATEGIES)


@pytest.fixture
def ready(tmp_path: Path, tiny: Path) -> Path:
    deployment.build(tmp_path, tiny)
    return tmp_path


async def answer(ready: Path, path: Path, out: str = "out", **selection: Any) -> Outcome:
    return await run(suites.load(str(path)), ready / out, selection=Selection(**selection))


async def test_every_question_is_answered_once_under_every_strategy(ready: Path, tiny: Path) -> None:
    path = suite.write_suite(ready, tiny, n=3)
    first = await answer(ready, path)
    again = await answer(ready, path)
    assert (first.answered, first.failed, first.skipped) == (3 * CELLS, 0, 0)
    assert (again.answered, again.failed, again.skipped) == (0, 0, 3 * CELLS)


async def test_runs_of_equal_provenance_have_equal_answers_tags_and_scores(
    ready: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = suite.write_suite(ready, tiny, n=3)
    one = await answer(ready, path, "one")
    monkeypatch.setenv("QTTRAG_CACHE__PATH", str(ready / "another.sqlite"))
    other = await answer(ready, path, "other")
    assert one.run.identity == other.run.identity
    for cell in one.run.cells():
        mine, theirs = (latest(cell.file(ready / name)) for name in ("one", "other"))
        assert {n: (r.text, r.context, r.ranking) for n, r in mine.items()} == {
            n: (r.text, r.context, r.ranking) for n, r in theirs.items()
        }
    assert figures(ready / "one") == figures(ready / "other")


async def test_strategies_share_searches_translations_and_scores(ready: Path, tiny: Path) -> None:
    strategies: dict[str, Any] = {"cross_rag": {}, "qtt_rag": {}, "hard_filter": {}}
    path = suite.write_suite(ready, tiny, n=3, strategies=strategies, in_flight=1)
    outcome = await answer(ready, path)
    counts = {
        name: sum(
            record.counts.get(stage, 0)
            for cell in outcome.run.cells()
            if cell.strategy == name
            for record in latest(cell.file(outcome.run.folder)).values()
            for stage in ("retrieve.computed", "rerank.computed", "translate.computed", "tag.computed")
        )
        for name in strategies
    }
    assert counts["cross_rag"] > 0
    assert counts["hard_filter"] == 0


async def test_a_killed_run_is_resumed_and_scores_the_same(ready: Path, tiny: Path) -> None:
    path = suite.write_suite(ready, tiny, n=6, in_flight=3)
    words = [sys.executable, "-m", "qttrag", "eval", "run", str(path), "--out", str(ready / "killed")]
    for enough in (3, 12):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and lines(ready / "killed") < enough:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = lines(ready / "killed")
    assert 12 <= done < 6 * CELLS
    last = await answer(ready, path, "killed")
    assert (last.answered, last.skipped) == (6 * CELLS - done, done)
    await answer(ready, path, "whole")
    assert figures(ready / "killed") == figures(ready / "whole")


async def test_failed_questions_are_recorded_and_retried_only_on_request(ready: Path, tiny: Path) -> None:
    broken = {"on": True}

    def reply(body: dict[str, Any]) -> Reply:
        broken_now = broken["on"] and len(server.requests) % 2
        return failure(400, "will not") if broken_now else text_reply("1848")

    with Server(reply) as server:
        served = {"kind": "openai", "model": "m", "base_url": server.base_url, "retries": 0}
        path = suite.write_suite(
            ready, tiny, n=4, strategies={"base": {}, "cross_rag": {}}, generators={"served": served},
            headline={"of": "cross_rag", "over": "base"}, in_flight=1, set={"cache": {"enabled": False}},
        )  # fmt: skip
        first = await answer(ready, path)
        assert first.failed > 0
        assert first.answered + first.failed == 16
        (scored, *_) = scoring.score(first.run)
        assert set(scored.failed.values()) == {next(iter(scored.failed.values()))}
        assert "will not" in next(iter(scored.failed.values()))
        broken["on"] = False
        untouched = await answer(ready, path)
        assert (untouched.answered, untouched.skipped) == (0, 16)
        retried = await answer(ready, path, retry_failed=True)
        assert (retried.answered, retried.skipped) == (first.failed, first.answered)
        assert all(not each.failed for each in scoring.score(retried.run))


async def test_answers_that_an_outage_degraded_are_repeated_only_on_request(ready: Path, tiny: Path) -> None:
    down = {"kind": "llm", "generator": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1",
                                         "retries": 0, "context": 4096}}  # fmt: skip
    path = suite.write_suite(ready, tiny, n=2, strategies={"base": {}, "qtt_rag": {}}, set={"tagger": down},
                             headline={"of": "qtt_rag", "over": "base"})  # fmt: skip
    first = await answer(ready, path)
    cells = {cell.cell: cell for cell in scoring.score(first.run)}
    degraded = cells[Cell("mine ko", "own", "qtt_rag")].degraded
    assert degraded
    assert cells[Cell("mine ko", "own", "base")].degraded == []
    assert (await answer(ready, path, retry_failed=True)).answered == 0
    again = await answer(ready, path, retry_degraded=True)
    assert again.answered == sum(len(cell.degraded) for cell in cells.values())


async def test_an_abstention_is_recorded(ready: Path, tiny: Path) -> None:
    outcome = await answer(ready, suite.write_suite(ready, tiny, n=1))
    (record,) = latest(Cell("mine ko", "own", "base").file(outcome.run.folder)).values()
    assert record.abstained is False


async def test_a_server_that_is_down_ends_the_run_after_50_failures(ready: Path, tiny: Path) -> None:
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0, "context": 4096}
    path = suite.write_suite(ready, tiny, n=40, generators={"down": down}, strategies={"base": {}, "cross_rag": {}},
                             headline={"of": "cross_rag", "over": "base"})  # fmt: skip
    with pytest.raises(StageError, match=r"50 consecutive questions failed.*(cannot be reached|suspended)"):
        await answer(ready, path)
    assert 50 <= lines(ready / "out") < 160


async def test_a_larger_sample_includes_a_smaller_one(ready: Path, tiny: Path) -> None:
    path = suite.write_suite(ready, tiny, n=6, strategies={"base": {}, "cross_rag": {}},
                             headline={"of": "cross_rag", "over": "base"})  # fmt: skip
    assert (await answer(ready, path, sample=2)).answered == 8
    more = await answer(ready, path, sample=3)
    assert (more.answered, more.skipped) == (4, 8)
    assert (await answer(ready, path, limit=6)).answered == 12


async def test_another_suite_is_refused_and_nothing_is_changed(ready: Path, tiny: Path) -> None:
    await answer(ready, suite.write_suite(ready, tiny, n=1))
    before = {path: path.read_bytes() for path in (ready / "out").rglob("*.js*")}
    changed = suite.write_suite(ready, tiny, n=1, set={"answer_tokens": 8})
    with pytest.raises(InputError, match=r"other settings.*answer_tokens: 16, 8"):
        await answer(ready, changed)
    assert {path: path.read_bytes() for path in (ready / "out").rglob("*.js*")} == before


async def test_a_strategy_can_be_added_to_a_run(ready: Path, tiny: Path) -> None:
    await answer(ready, suite.write_suite(ready, tiny, n=1))
    strategies: dict[str, Any] = {name: {} for name in (*suite.STRATEGIES, "hard_filter")}
    more = await answer(ready, suite.write_suite(ready, tiny, n=1, strategies=strategies))
    assert (more.answered, more.skipped) == (2, CELLS)


async def test_a_folder_with_other_files_is_left_alone(ready: Path, tiny: Path) -> None:
    (ready / "out").mkdir()
    (ready / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"not empty and has no run\.json"):
        await answer(ready, suite.write_suite(ready, tiny, n=1))


async def test_two_processes_do_not_run_in_one_folder(ready: Path, tiny: Path) -> None:
    from filelock import FileLock

    path = suite.write_suite(ready, tiny, n=1)
    (ready / "out").mkdir()
    with FileLock(ready / "out" / ".lock"), pytest.raises(InputError, match="another process"):
        await answer(ready, path)


async def test_a_strategy_without_its_translator_is_refused_before_anything_is_loaded(
    tmp_path: Path, tiny: Path
) -> None:
    path = suite.write_suite(tmp_path, tiny, n=1, set={"translator": None, "retriever": {"encoder": {"model": "./no"}}})
    with pytest.raises(ConfigError, match="this strategy needs a translator"):
        await answer(tmp_path, path)
    assert not (tmp_path / "out").exists()


async def test_an_index_that_is_not_built_is_named_before_anything_is_asked(tmp_path: Path, tiny: Path) -> None:
    from qttrag.errors import CollectionError

    with pytest.raises(CollectionError, match="mixed"):
        await answer(tmp_path, suite.write_suite(tmp_path, tiny, n=1))


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run in"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: damaged"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"identity": {"layout": 99}}))
    with pytest.raises(InputError, match="layout 99"):
        open_run(tmp_path)


RECORD = AnswerRecord(
    "1",
    "서울",
    context=(
        TaggedPassage(
            Passage("p", "The bridge.", Lang("en"), "T"),
            "다리",
            QualityScores(1.0, 2.0, 3.5),
            flags=("loop",),
            critical_errors=(CriticalError("numbers", ("3",)),),
        ),
        TaggedPassage(Passage("r", "The sea.", Lang("en")), "바다", QualityScores(2.5)),
        TaggedPassage(Passage("q", "다리", Lang("ko")), unscored="range", refined="r", score=0.25, retrieved_rank=2),
    ),
    ranking=(RankedPassage("p", 0.1), RankedPassage("q", -0.30000000000000004)),
    search="00ff",
    seconds={"answer": 0.5},
    counts={"answer.calls": 1},
    notes=("cut",),
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = AnswerFile(tmp_path / "a.jsonl")
    file.append(RECORD)
    file.append(AnswerRecord("2", None, error="StageError: no"))
    file.close()
    assert list(latest(tmp_path / "a.jsonl").values()) == [RECORD, AnswerRecord("2", None, error="StageError: no")]
    again = AnswerFile(tmp_path / "a.jsonl")
    assert (again.done, again.failed, again.repaired) == ({"1"}, {"2"}, False)


def test_a_record_of_an_earlier_version_has_no_critical_errors(tmp_path: Path) -> None:
    fields = json.loads(dumps(RECORD))
    for context in fields["context"]:
        del context["critical_errors"]
    (first, *_) = loads(json.dumps(fields)).context
    assert (first.critical_errors, first.scores) == ((), QualityScores(1.0, 2.0, 3.5))


def test_an_incomplete_last_line_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    file = AnswerFile(path)
    file.append(RECORD)
    file.close()
    whole = path.read_bytes()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        assert list(latest(path)) == ["1"]
        again = AnswerFile(path)
        assert again.repaired
        assert again.done == {"1"}
        again.close()
        assert path.read_bytes() == whole


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question_id": "1"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:1: not an answer"):
        latest(tmp_path / "a.jsonl")


def test_names_of_cells_are_files_of_the_run(tmp_path: Path) -> None:
    assert Cell("xor ko", "Phi-4", "base").file(tmp_path) == tmp_path / "answers" / "xor ko" / "Phi-4" / "base.jsonl"


def test_suites_inherit_and_rows_can_be_removed() -> None:
    mkqa = suites.load("mkqa")
    assert list(mkqa.rows()) == ["mkqa ko", "mkqa fi", "mkqa zh"]
    assert mkqa.strategies == suites.load("xor-tydi").strategies
    assert mkqa.rows()["mkqa ko"].settings.expected["ko"] == 2827


def test_a_row_may_limit_its_questions_and_choose_their_collections(tmp_path: Path) -> None:
    own = {"strategy": "base", "top_k": 3, "depth": 20, "collections": ["wiki-en"]}
    row = suites.load("xor-tydi", {"strategies": {"english": own}}).strategy("english")
    assert (row.limits.top_k, row.limits.depth, row.collections, row.options) == (3, 20, ("wiki-en",), {})
    with pytest.raises(ConfigError, match="strategy 'english': `top_k: 0`"):
        suites.load("xor-tydi", {"strategies": {"english": {**own, "top_k": 0}}})


@pytest.mark.parametrize("name", ["xor-tydi", "mkqa", "mintaka", "xquad", "paper", "demo", "template"])
def test_every_suite_that_comes_with_qttrag_can_be_read(name: str) -> None:
    loaded = suites.load(name)
    for generator in loaded.generators:
        assert loaded.deployment_for(generator).generator["model"]


def test_a_generator_of_a_suite_overrides_the_deployments_generator() -> None:
    generator = suites.load("paper").deployment_for("Phi-4").generator
    assert (generator["kind"], generator["model"]) == ("openai", "microsoft/phi-4")


def test_settings_of_the_command_line_override_the_suite() -> None:
    loaded = suites.load("demo", {"in_flight": 3, "datasets": {"demo": {"langs": ["fi"]}}})
    assert loaded.in_flight == 3
    assert list(loaded.rows()) == ["demo fi"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"strategis": {}}, "unknown key 'strategis'; did you mean 'strategies'"),
        ({"datasets": {"mine": {"kind": "jsonl", "file": "x", "langs": ["ko"], "lang": "ko"}}}, "unknown key 'lang'"),
        ({"strategies": {"qtt": {}}}, "unknown strategy of the headline: 'qtt_rag'"),
        ({"strategies": {"qtt_rag": {"tag": False}, "cross_rag": {}}}, "unknown setting of strategy 'qtt_rag': 'tag'"),
        ({"strategies": {"a/b": {}, "qtt_rag": {}, "cross_rag": {}}}, "the name 'a/b' is also a file name"),
        ({"extends": "tiny"}, "extends itself"),
        ({"extends": "nowhere"}, "unknown suite 'nowhere'"),
        ({"in_flight": 0}, "in_flight"),
        ({"datasets": {"mine": {"file": "x", "langs": ["ko"]}}}, "`datasets.mine.kind:` is missing"),
        (
            {"datasets": {"mine": {"kind": "mkqq"}}},
            "`datasets.mine.kind: 'mkqq'`: unknown dataset kind 'mkqq'; did you",
        ),
        ({"datasets": {"mine": {"kind": "jsonl", "fil": "x"}}}, "unknown key 'fil'; did you mean 'file'"),
        ({"datasets": {"mine": {"kind": "squad", "context": {"gol": "en"}}}}, "unknown key 'gol'; did you mean 'gold'"),
        ({"datasets": {"mine": {"kind": "jsonl", "file": "x", "langs": ["ko"], "ids": "y"}}}, "unknown key 'ids'"),
        ({"run": {"file": "x", "idz": "y"}}, "unknown key 'idz'; did you mean 'ids'"),
        ({"headline": {"of": "qtt_rag", "over": "base", "measure": "kept"}}, "`kept` is now `cache_hits`"),
        ({"headline": {"of": "qtt_rag", "over": "base", "measure": "char3"}}, "unknown measure 'char3'"),
    ],
)
def test_a_suite_that_is_wrong_is_refused_with_the_way_out(
    tmp_path: Path, tiny: Path, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        suites.load(str(suite.write_suite(tmp_path, tiny, n=1, **change)))
    assert complaint in str(refused.value)


async def test_another_systems_run_takes_the_place_of_the_search(ready: Path, tiny: Path) -> None:
    (ready / "theirs.trec").write_text(
        "ko0 Q0 x_en-0 1 0.5 t\nko0 Q0 x_ko-1 2 0.75 t\nko0 Q0 x_ko-999 3 0.1 t\n"
        "nobody Q0 x_ko-1 1 1 t\nko1 Q0 y 1 1 t\n"
    )
    (ready / "ids.tsv").write_text("x_*\t*\tko\n")
    theirs = {"file": "./theirs.trec", "ids": "./ids.tsv"}
    path = suite.write_suite(ready, tiny, n=2, strategies={"base": {}, "cross_rag": {}}, run=theirs,
                             headline={"of": "cross_rag", "over": "base"})  # fmt: skip
    outcome = await answer(ready, path)
    records = latest(Cell("mine ko", "own", "base").file(outcome.run.folder))
    assert [(p.passage.passage_id, p.score) for p in records["ko0"].context] == [("ko-1#0", 0.75), ("en-0#0", 0.5)]
    assert records["ko1"].context == ()
    notes = "\n".join(outcome.run.notes)
    for mismatch in ("3 questions are missing", "1 of its queries", "1 of its passages", "1 of its lines"):
        assert mismatch in notes


async def test_a_run_of_other_passages_is_refused(ready: Path, tiny: Path) -> None:
    (ready / "theirs.trec").write_text("ko0 Q0 kilt-1 1 0.5 t\n")
    path = suite.write_suite(ready, tiny, n=1, run={"file": "./theirs.trec"})
    with pytest.raises(InputError, match=r"none of its passages is in the collections, e\.g\. 'kilt-1'"):
        await answer(ready, path)


async def test_questions_without_passages_of_their_own_are_searched_beside_those_that_have_them(
    ready: Path, tiny: Path
) -> None:
    lines = [json.loads(line) for line in suite.write_questions(ready / "all.jsonl", 1).read_text().splitlines()]
    own = [{**line, "passages": [{"text": line["answers"][0], "lang": "en"}]} for line in lines]
    (ready / "own.jsonl").write_text("\n".join(map(json.dumps, own)))
    rows = {
        "searched": {"kind": "jsonl", "file": "./questions.jsonl", "langs": ["ko"]},
        "given": {"kind": "jsonl", "file": "./own.jsonl", "langs": ["ko"]},
    }
    both = {"strategies": {"base": {}, "cross_rag": {}}, "headline": {"of": "cross_rag", "over": "base"}}
    outcome = await answer(ready, suite.write_suite(ready, tiny, n=1, datasets=rows, **both))
    (given,) = latest(Cell("given ko", "own", "base").file(outcome.run.folder)).values()
    (searched,) = latest(Cell("searched ko", "own", "base").file(outcome.run.folder)).values()
    assert [passage.passage.text for passage in given.context] == lines[0]["answers"]
    assert len(searched.context) > 1
