"""Single stages: retrieval, the tagger against human scores, the detector."""

from __future__ import annotations

import gzip
import json
import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy import stats

from qttrag import resources
from qttrag.errors import InputError
from qttrag.evaluation.datasets.documents import as_judged, document_rankings
from qttrag.evaluation.datasets.trec import RunEntry, read_run
from qttrag.evaluation.document import Document
from qttrag.evaluation.stages import tagging
from qttrag.evaluation.stages.identification import LabelledText, shortened
from qttrag.testing import FakeTagger
from qttrag.types import Lang, QualityScores, Verdict
from tests import deployment, shared_data, suite


@shared_data.needs(shared_data.TREC_RUNS)
def test_the_published_run_has_the_reported_cross_lingual_share(run: Any, tmp_path: Path) -> None:
    (tmp_path / "ids.tsv").write_text("kilt-100w_*\ten/*\ten\nwiki-100w-ko_*\tko/*\tko\n")
    (path,) = shared_data.TREC_RUNS.glob("run.rerank.*ko*")
    code, out, _ = run("retrieval", "--run", path, "--run-ids", tmp_path / "ids.tsv", "--lang", "ko", "--json")
    assert code == 0
    (cell,) = Document.model_validate(out).cells
    assert cell.figures["r_lang@5"].value == pytest.approx(430 / 1855)
    assert (out["cells"][0]["foreign"], out["cells"][0]["language_known"]) == (430, 1855)


def test_a_run_is_measured_against_qrels(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n2 Q0 a 1 1 t\n")
    (tmp_path / "qrels").write_text("1 0 b 1\n2 0 a 0\n3 0 a 1\n")
    _, out, _ = run("retrieval", "--run", tmp_path / "run", "--qrels", tmp_path / "qrels", "--lang", "ko", "--json")
    (cell,) = out["cells"]
    assert (cell["n"], cell["judged"]) == (3, 3)
    assert cell["figures"]["RR@10"]["value"] == pytest.approx(0.5 / 3)
    assert out["notes"] == [f"1 of 3 judged queries are missing from {tmp_path / 'run'} and count as zero"]


def test_grades_count_and_measures_are_chosen_by_the_names_of_ir_measures(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n1 Q0 b 2 1 t\n")
    (tmp_path / "qrels").write_text("1 0 a 1\n1 0 b 3\n")
    words = ["retrieval", "--run", tmp_path / "run", "--qrels", tmp_path / "qrels", "--lang", "ko", "--json"]
    _, out, _ = run(*words, "--measures", "nDCG@20 AP MRR Success@5", "--per-query", tmp_path / "values.jsonl")
    figures = {name: figure["value"] for name, figure in out["cells"][0]["figures"].items()}
    graded = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))
    assert figures == {"nDCG@20": pytest.approx(graded), "AP": 1.0, "RR": 1.0, "Success@5": 1.0, "r_lang@5": None}
    (values,) = map(json.loads, (tmp_path / "values.jsonl").read_text().splitlines())
    assert values == {"run": "run", "lang": "ko", "id": "1", **{n: v for n, v in figures.items() if n != "r_lang@5"}}
    code, _, err = run(*words[:-1], "--measures", "nDGC@20")
    assert (code, "unknown retrieval measure 'nDGC@20'" in err) == (2, True)


def test_qrels_of_other_queries_are_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n")
    (tmp_path / "qrels").write_text("x 0 a 1\n")
    code, _, err = run("retrieval", "--run", tmp_path / "run", "--qrels", tmp_path / "qrels", "--lang", "ko")
    assert (code, "judges none of the queries" in err) == (2, True)


def test_the_share_in_other_languages_is_unknown_without_languages(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 a 1 2 t\n")
    _, out, _ = run("retrieval", "--run", tmp_path / "run", "--lang", "ko")
    assert re.search(r"ko +1 +0 +–", out)


def test_a_deployments_retrieval_is_measured_by_step_and_language_of_gold(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=4)
    code, out, _ = run("retrieval", path, "--pivot", "en", "--write", tmp_path / "runs", "--json")
    assert code == 0
    rows = out["cells"]
    assert {(r["query"], r["step"]) for r in rows} == {
        (query, step) for query in ("as asked", "en") for step in ("retrieved", "reranked")
    }
    counted = {r["gold"]: r["n"] for r in rows if r["dataset"] == "mine ko"}
    assert counted["any"] == 4
    assert counted.get("own language", 0) + counted.get("other language", 0) <= 4
    written = read_run(tmp_path / "runs" / "mine-ko-as-asked-reranked.trec").rankings
    assert set(written) == {"ko0", "ko1", "ko2", "ko3"}
    assert {len(ranking) for ranking in written.values()} == {10}
    assert not [entry for ranking in written.values() for entry in ranking if "#" in entry.passage_id]


def test_an_interrupted_measurement_of_retrieval_searches_nothing_twice(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=3)
    _, first, _ = run("retrieval", path, "--json")
    cache = resources.results_folder() / "tiny-retrieval" / "search.sqlite"
    with closing(sqlite3.connect(cache)) as opened:
        table = opened.execute("select name from sqlite_master where type='table'").fetchone()[0]
        rows = f"select count(*) from {table}"
        before = opened.execute(rows).fetchone()
    _, again, _ = run("retrieval", path, "--json")
    with closing(sqlite3.connect(cache)) as opened:
        assert opened.execute(rows).fetchone() == before
    assert again == first


def test_a_suite_for_retrieval_needs_no_headline_and_has_no_step_without_a_reranker(
    run: Any, tmp_path: Path, tiny: Path
) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=2, set={"reranker": {"kind": "none"}})
    settings = yaml.safe_load(path.read_text("utf-8"))
    del settings["headline"], settings["strategies"]
    (tmp_path / "questions.jsonl").rename(tmp_path / "questions.ko.jsonl")
    settings["datasets"]["mine"] |= {"file": "./questions.{lang}.jsonl", "langs": ["ko"]}
    path.write_text(yaml.safe_dump(settings), "utf-8")
    code, out, _ = run("retrieval", path, "--json")
    assert (code, {cell["step"] for cell in out["cells"]}) == (0, {"retrieved"})
    assert "R@1" in out["cells"][0]["figures"]


def test_a_pivot_without_a_translator_is_refused_before_anything_is_loaded(
    run: Any, tmp_path: Path, tiny: Path
) -> None:
    path = suite.write_suite(tmp_path, tiny, n=1, set={"translator": None})
    code, _, err = run("retrieval", path, "--pivot", "en")
    assert (code, "--pivot en needs a translator" in err) == (2, True)


def test_rankings_of_pieces_are_rankings_of_documents(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    pieces = {"1": [RunEntry("ko-1#1", 3.0), RunEntry("en-0#0", 2.0), RunEntry("ko-1#0", 1.0)]}
    assert document_rankings(pieces, ["mixed"]) == {"1": [RunEntry("ko-1", 3.0), RunEntry("en-0", 2.0)]}


def test_a_piece_counts_as_its_document_only_where_documents_are_judged() -> None:
    ranking = {"1": ["a#0", "a#1", "b#0"]}
    assert as_judged(ranking, {"1": {"b": 1}}) == {"1": ["a", "b"]}
    assert as_judged(ranking, {"1": {"b#0": 1}}) == {"1": ["a#0", "a#1", "b#0"]}
    assert as_judged(ranking, {"1": {"a#1": 1, "b": 1}}) == {"1": ["a#0", "a#1", "b"]}


def test_the_schema_is_that_of_the_document(run: Any) -> None:
    _, out, _ = run("schema")
    assert json.loads(out) == Document.model_json_schema()


def test_a_run_with_repeated_passages_is_measured_without_them_and_says_so(run: Any, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("1 Q0 en-1 1 3 t\n1 Q0 en-1 2 2 t\n1 Q0 ko-1 3 1 t\n")
    (tmp_path / "ids").write_text("en-*\ten-*\ten\nko-*\tko-*\tko\n")
    _, out, _ = run("retrieval", "--run", tmp_path / "run", "--run-ids", tmp_path / "ids", "--lang", "ko", "--json")
    assert "1 of its lines repeat a passage" in out["notes"][0]
    assert (out["cells"][0]["foreign"], out["cells"][0]["language_known"]) == (1, 2)


@pytest.mark.parametrize("words", [[], ["x", "--run", "y"]])
def test_retrieval_needs_either_a_suite_or_a_run(run: Any, words: list[str]) -> None:
    code, _, err = run("retrieval", *words)
    assert (code, err) == (2, "error: give either a suite or a TREC run (--run FILE)\n")


def judged_file(path: Path, rows: int) -> Path:
    lines = ["src\tmt\tda_mean", *(f'The "bridge" {n}.\t다리 {n}.\t{n * 7 % 100}.5' for n in range(rows))]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def test_a_tagger_is_compared_with_human_scores(run: Any, tmp_path: Path, tiny: Path) -> None:
    file, config = judged_file(tmp_path / "j.tsv.gz", 12), deployment.write_deployment(tmp_path, tiny)
    words = ["tagger", file, "--from", "en", "--to", "ko", "--sample", "8", "-c", config, "--json"]
    code, document, _ = run(*words)
    assert code == 0
    assert [cell["criterion"] for cell in document["cells"]] == ["semantic", "grammar", "fluency", "mean"]
    assert {cell["n"] + cell["unscored"] for cell in document["cells"]} == {8}
    figure = document["cells"][0]["figures"]["spearmanr"]
    assert figure["n"] == document["cells"][0]["n"]
    assert figure["signature"].startswith("spearmanr|criterion:semantic|lang:en-ko|n:")


def test_a_tagger_that_scores_nothing_says_why_and_fails(run: Any, tmp_path: Path, tiny: Path) -> None:
    file = judged_file(tmp_path / "j.tsv.gz", 3)
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    config = deployment.write_deployment(tmp_path, tiny, generator=down)
    code, out, _ = run("tagger", file, "--from", "en", "--to", "ko", "-c", config, "--json")
    assert code == 4
    document = json.loads(out)
    assert document["notes"][0] == "3 of 3 translations are unscored"
    assert any("cannot be reached" in note for note in document["notes"])
    assert document["cells"][0]["figures"]["pearsonr"]["value"] is None


async def test_many_translations_are_scored_in_parts_and_in_order() -> None:
    """All at once, the last of them wait longer than a model's `call_timeout:`, and stay unscored."""
    calls = list[int]()

    class Counting(FakeTagger):
        async def score(self, *args: Any, **named: Any) -> list[Verdict]:
            calls.append(len(args[0]))
            return await super().score(*args, **named)

    judged = [tagging.JudgedTranslation("a", str(n % 6), 0.0) for n in range(100)]
    tagger = Counting(lambda text: Verdict(QualityScores(float(text), 0, 0)))
    verdicts = await tagging.verdicts_of(tagger, judged, Lang("fi"), Lang("en"))
    assert tagging.scores(verdicts, "semantic") == [float(each.translation) for each in judged]
    assert max(calls) <= 32


def test_correlations_are_scipys_and_lie_in_their_intervals() -> None:
    pairs = [(float(n % 5), float(n % 7)) for n in range(60)]
    for name in tagging.CORRELATIONS:
        interval = tagging.correlation(name, pairs)
        assert interval.value == pytest.approx(getattr(stats, name)(*zip(*pairs, strict=True))[0])
        assert interval.low < interval.value < interval.high
    assert tagging.correlation("pearsonr", [(1.0, 2.0)] * 9).value != tagging.correlation("pearsonr", pairs).value


def test_a_translation_without_scores_is_left_out_and_counted() -> None:
    judged = [tagging.JudgedTranslation("a", "b", float(n)) for n in range(5)]
    verdicts = [Verdict(QualityScores(n, 5 - n, 2)) for n in range(4)] + [Verdict(None, "range")]
    semantic, grammar, fluency, _ = tagging.table(tagging.correlations(judged, verdicts, "")).rows
    assert semantic[1:4] == ["4", "1", "+1.000 [+1.000, +1.000]"]
    assert grammar[3].startswith("-1.000")
    assert fluency[3] == "–"


def test_a_tagger_with_one_score_is_compared_by_that_score_alone() -> None:
    judged = [tagging.JudgedTranslation("a", "b", float(n)) for n in range(5)]
    verdicts = [Verdict(QualityScores(n)) for n in range(4)] + [Verdict(None, "range")]
    (row,) = tagging.table(tagging.correlations(judged, verdicts, "")).rows
    assert row[:4] == ["semantic", "4", "1", "+1.000 [+1.000, +1.000]"]
    assert [row[:2] for row in tagging.reliability(judged, verdicts).rows] == [[f"{n}.0", "1"] for n in range(4)]


def test_a_file_without_the_named_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'z_mean' \(columns: src, mt, da_mean\)"):
        tagging.read(judged_file(tmp_path / "j.tsv.gz", 1), "src", "mt", "z_mean")


def test_flags_are_measured_on_good_and_damaged_translations(run: Any, tmp_path: Path) -> None:
    rows = [("It has 10 seats.", "좌석이 10개이다.", "좌석이 12개이다."), ("It has 7 seats.", "좌석이 8개이다.", "")]
    lines = ["src\tmt\tdamaged", *map("\t".join, rows)]
    (tmp_path / "d.tsv").write_text("\n".join(lines))
    words = ["flags", tmp_path / "d.tsv", "--from", "en", "--to", "ko", "--columns", "src,mt,damaged", "--json"]
    code, document, _ = run(*words)
    numbers = document["cells"][0]
    assert (code, numbers["check"], numbers["good"], numbers["damaged"]) == (0, "numbers", 2, 1)
    assert {name: figure["value"] for name, figure in numbers["figures"].items()} == {
        "false_alarms": 0.5, "found": 1.0, "precision": 0.5,
    }  # fmt: skip


def test_flags_are_measured_on_two_files_of_lines(run: Any, tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text("It has 10 seats.\n")
    (tmp_path / "ko.txt").write_text("좌석이 10개이다.\n")
    code, document, _ = run("flags", tmp_path / "en.txt", tmp_path / "ko.txt", "--from", "en", "--to", "ko", "--json")
    figures = document["cells"][-1]["figures"]
    assert (code, figures["false_alarms"]["value"], figures["found"]["value"]) == (0, 0.0, None)
    (tmp_path / "ko.txt").write_text("좌석이 10개이다.\n좌석\n")
    code, _, err = run("flags", tmp_path / "en.txt", tmp_path / "ko.txt", "--from", "en", "--to", "ko")
    assert code == 2
    assert "has 1 lines" in err


def test_a_detector_is_measured_by_language(run: Any, tmp_path: Path) -> None:
    texts = [("서울은 언제 수도가 되었나요?", "ko"), ("Milloin silta avattiin?", "fi"), ("大桥何时通车？", "ko")]
    lines = [json.dumps({"question": text, "lang": lang}) for text, lang in texts]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    _, out, _ = run("detector", tmp_path / "q.jsonl", "--json")
    document = Document.model_validate(out)
    assert [(c["lang"], c["n"], c["figures"]["right"]["value"]) for c in out["cells"]] == [
        ("ko", 2, 0.5), ("fi", 1, 1.0), ("all", 3, pytest.approx(2 / 3)),
    ]  # fmt: skip
    assert document.cells[2].figures["same_again"].value == 1.0
    assert "texts a second" in document.notes[0]


def test_a_detector_is_measured_on_a_folder_of_languages_and_on_the_first_words(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "fin_Latn.dev").write_text("Silta avattiin viime vuonna.\nKuka sen rakensi?\n", "utf-8")
    (folder / "jpn_Jpan.dev.gz").write_bytes(gzip.compress("人口が増えている。\n".encode()))
    cells = run("detector", folder, "--words", "1", "--set", "languages=[zh]", "--json")[1]["cells"]
    assert [(cell["lang"], cell["n"]) for cell in cells] == [("fi", 2), ("ja", 1), ("all", 3)]
    assert cells[1]["figures"]["right"]["value"] == 0.0  # 人口 alone, where Chinese is expected
    assert "|detector:script,languages=[zh],words=1|" in cells[1]["figures"]["right"]["signature"]


def test_a_text_is_shortened_after_words_of_the_dictionary() -> None:
    texts = ["Silta, avattiin viime vuonna.", "桥梁去年开通了。"]
    assert [shortened(LabelledText(text, Lang("xx")), 2).text for text in texts] == ["Silta, avattiin", "桥梁去年"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [('{"text": "x"}', "`lang` must be a text"), ('{"text": "x", "lang": "xx"}', "unknown language 'xx'"),
     ('{"lang": "ko"}', "`question` must be a text")],
)  # fmt: skip
def test_a_labelled_text_that_is_wrong_is_refused_with_its_place(
    run: Any, tmp_path: Path, line: str, complaint: str
) -> None:
    (tmp_path / "q.jsonl").write_text(f'{{"text": "Onko?", "lang": "fi"}}\n{line}\n')
    code, _, err = run("detector", tmp_path / "q.jsonl")
    assert (code, f"q.jsonl:2: {complaint}" in err) == (2, True)


def test_run_answers_scores_and_writes_the_report(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    path = suite.write_suite(tmp_path, tiny, n=2)
    code, data, err = run("run", path, "--limit", "1", "--set", "strategies.base=null", "--json")
    assert code == 0
    assert {(cell["dataset"], cell["strategy"], cell["answered"]) for cell in data["cells"]} == {
        (row, strategy, 1) for row in ("mine ko", "mine fi") for strategy in ("cross_rag", "qtt_rag")
    }
    assert "4 answered, 0 skipped, 0 failed" in err
    again = run("run", path, "--limit", "1", "--set", "strategies.base=null")
    assert "0 answered, 4 skipped, 0 failed" in again[2]
    assert "2 left out: in another language" in again[1]
    assert "<html" in (resources.results_folder() / "tiny" / "report.html").read_text("utf-8")


def test_a_strategy_without_any_answer_ends_the_run_with_exit_code_4(run: Any, tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0, "context": 4096}
    path = suite.write_suite(tmp_path, tiny, n=1, strategies={"base": {}}, headline={"of": "base", "over": "base"},
                             generators={"down": down})  # fmt: skip
    code, out, err = run("run", path)
    assert code == 4
    assert "every question failed under mine ko · down · base" in err
    assert "--retry-failed" in err
    assert "– (failed 1)" in out


def test_an_unknown_setting_of_a_suite_is_named(run: Any, tmp_path: Path, tiny: Path) -> None:
    code, _, err = run("run", suite.write_suite(tmp_path, tiny, n=1), "--set", "datasets.mine.fil=x")
    assert code == 2
    assert "unknown key 'fil'; did you mean 'file'" in err
