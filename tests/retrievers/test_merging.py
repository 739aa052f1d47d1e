"""Merge hits of several languages, and measure the bias of an encoder for a language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.config.deployment import Deployment
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersKind
from qttrag.errors import ConfigError, InputError
from qttrag.retrievers import language_bias, merging
from qttrag.retrievers.dense import DenseRetriever
from qttrag.stores.faiss_folder import FaissFolder
from qttrag.trace import Trace
from qttrag.types import Hit, Lang, Passage, Query
from tests import deployment
from tests.texts import facts

KO, EN = Lang("ko"), Lang("en")
ENCODER = SentenceTransformersKind("m")


def hits(lang: str, *scores: float) -> list[Hit]:
    return [Hit(Passage(f"{lang}{n}", "", Lang(lang)), score) for n, score in enumerate(scores)]


def ids(found: list[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in found]


ENGLISH, KOREAN = hits("en", 0.9, 0.8, 0.7, 0.6), hits("ko", 0.65, 0.5, 0.4)


def test_hits_are_merged_by_score_with_ties_by_id() -> None:
    merged = merging.merge([ENGLISH, KOREAN, hits("fi", 0.7)], 4, KO, merging.check(None, None))
    assert ids(merged.hits) == ["en0", "en1", "en2", "fi0"]
    assert (merged.shifted, merged.by_quota) == ({}, {})


def test_a_quota_keeps_the_best_hits_of_a_language() -> None:
    merged = merging.merge([ENGLISH, KOREAN], 4, KO, merging.check({"query": 0.5}, None))
    assert ids(merged.hits) == ["en0", "en1", "ko0", "ko1"]
    assert merged.by_quota == {KO: 1}


def test_a_quota_counts_passages_in_any_script_of_the_language() -> None:
    settings = merging.check({"query": 0.5}, None)
    merged = merging.merge([ENGLISH, hits("zh", 0.5), hits("zh-Hant", 0.4)], 4, Lang("zh-Hant"), settings)
    assert ids(merged.hits) == ["en0", "en1", "zh0", "zh-Hant0"]
    assert settings.searched_separately(Lang("zh-Hant")) == {"zh", "zh-Hant"}


def test_a_quota_already_reached_by_score_changes_nothing() -> None:
    merged = merging.merge([ENGLISH, KOREAN], 5, KO, merging.check({"ko": 0.2}, None))
    assert ids(merged.hits) == ["en0", "en1", "en2", "ko0", "en3"]
    assert merged.by_quota == {}


def test_places_that_a_quota_cannot_fill_go_to_other_languages() -> None:
    merged = merging.merge([ENGLISH, KOREAN[:1]], 4, KO, merging.check({"ko": 0.9}, None))
    assert ids(merged.hits) == ["en0", "en1", "en2", "ko0"]


def test_a_shift_is_added_before_hits_are_merged() -> None:
    settings = merging.check(None, {"ko": {"en": -0.2}})
    merged = merging.merge([ENGLISH, KOREAN], 3, KO, settings)
    assert ids(merged.hits) == ["en0", "ko0", "en1"]
    assert merged.hits[0].score == pytest.approx(0.7)
    assert merged.shifted == {EN: (2, -0.2)}
    assert merging.merge([ENGLISH, KOREAN], 3, EN, settings).shifted == {}


@given(
    st.lists(st.tuples(st.sampled_from(["en", "ko", "fi"]), st.floats(-1, 1)), max_size=30),
    st.integers(1, 20),
    st.floats(0.01, 0.5),
    st.floats(0.01, 0.5),
)
def test_no_hit_is_lost_or_duplicated_and_quotas_are_met(
    found: list[tuple[str, float]], k: int, english: float, own: float
) -> None:
    each = [Hit(Passage(str(n), "", Lang(lang)), score) for n, (lang, score) in enumerate(found)]
    merged = merging.merge([each[::2], each[1::2]], k, KO, merging.check({"en": english, "query": own}, None)).hits
    assert len(merged) == len(set(ids(merged))) == min(k, len(each))
    assert merged == sorted(merged, key=lambda hit: (-hit.score, hit.passage.passage_id))
    for lang, share in (("en", english), ("ko", own)):
        there = sum(hit.passage.lang == lang for hit in each)
        assert sum(hit.passage.lang == lang for hit in merged) >= min(there, int(share * k))


@pytest.mark.parametrize(
    ("quotas", "shifts", "words"),
    [
        ({"ko": 1.5}, None, r"between 0 and 1"),
        ({"ko": 0.0}, None, r"between 0 and 1"),
        ({"ko": 0.6, "query": 0.6}, None, r"1\.2 of the hits; at most 1"),
        (None, {"ko": {"en": 40.0}}, r"measure-shifts"),
    ],
)
def test_invalid_quotas_and_shifts_are_refused(
    quotas: dict[str, float] | None, shifts: dict[str, dict[str, float]] | None, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        DenseRetriever(encoder=ENCODER, collections=["c"], quotas=quotas, shifts=shifts)
    with pytest.raises(InputError, match="unknown language 'xx'"):
        DenseRetriever(encoder=ENCODER, collections=["c"], quotas={"xx": 0.1})


def test_a_quota_of_the_wrong_type_is_refused_in_a_deployment(tmp_path: Path, tiny: Path) -> None:
    from qttrag.application.application import Application
    from qttrag.config import deployment as config

    path = deployment.write_deployment(tmp_path, tiny)
    made: Deployment = config.load(path, {"retriever": {"quotas": {"ko": "many"}}})
    with pytest.raises(ConfigError, match=r"quotas\.ko"):
        Application.open(made)


async def test_quotas_and_shifts_apply_to_a_multilingual_collection_and_are_in_the_trace(
    tmp_path: Path, tiny: Path
) -> None:
    deployment.build(tmp_path, tiny)
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    plain = DenseRetriever(encoder=encoder, collections=["mixed"])
    query = Query("서울의 다리", KO)
    lowest = min(await plain.retrieve(query, 40), key=lambda hit: hit.score)
    other = DenseRetriever(
        encoder=encoder,
        collections=["mixed"],
        quotas={"zh": 0.4},
        shifts={"ko": {lowest.passage.lang: 1.0}},
    )
    trace = Trace()
    with trace.stage("retrieve"):
        found = await other.retrieve(query, 10)
    assert found[0].passage.lang == lowest.passage.lang
    assert sum(hit.passage.lang == "zh" for hit in found) >= 4
    assert trace.counts[f"retrieve.shifted_{lowest.passage.lang}"] >= 1
    assert any("were shifted by +1.0000 for a question in ko" in note for note in trace.notes)


def write_questions(path: Path) -> Path:
    lines = [{"en": fact.say("en"), "ko": fact.say("ko")} for fact in facts(12, seed=8)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return path


def test_the_bias_is_the_loss_of_score_in_another_language(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    store = FaissFolder("mixed")
    encoder = SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=256)
    asked = language_bias.read_parallel_questions(write_questions(tmp_path / "q.jsonl"))
    found = {(s.question, s.passages): s for s in language_bias.measure([store], encoder, asked)}
    assert set(found) == {("ko", "en"), ("en", "ko")}
    shift = found[KO, EN]
    assert shift.n == 12

    def score(text: str) -> float:
        (best,) = store.search(encoder.encode([text]), 10, [EN])
        return sum(hit.score for hit in best) / 10

    lost = [score(question[EN]) - score(question[KO]) for question in asked]
    assert shift.mean == pytest.approx(sum(lost) / 12, abs=1e-4)


def test_the_command_prints_settings_of_a_deployment(tmp_path: Path, tiny: Path) -> None:
    import yaml
    from typer.testing import CliRunner

    from qttrag.cli import app

    deployment.build(tmp_path, tiny)
    path = write_questions(tmp_path / "q.jsonl")
    told = CliRunner().invoke(app, ["index", "measure-shifts", str(path), "mixed"])
    assert told.exit_code == 0, told.output
    settings = yaml.safe_load(told.output.partition("\n\n")[2])["retriever"]["shifts"]
    DenseRetriever(encoder=ENCODER, collections=["mixed"], shifts=settings)


@pytest.mark.parametrize(
    ("line", "words"),
    [("{", "not JSON"), ('["ko"]', "one text for each language"), ('{"ko": "뭐?"}', "no question in two")],
)
def test_a_file_without_parallel_questions_is_refused(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "q.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=words):
        language_bias.read_parallel_questions(tmp_path / "q.jsonl")
