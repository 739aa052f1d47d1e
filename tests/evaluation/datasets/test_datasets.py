"""Datasets: the formats, the records that are left out and counted, and those that are refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo import corpus
from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.datasets import Dataset, load, parse, reference_signature
from tests import shared_data
from tests.hub import Hub


def write(path: Path, *records: Any) -> str:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")
    return str(path)


def xor(question_id: str = "1", **changes: Any) -> dict[str, Any]:
    return {"id": question_id, "question": "Onko?", "answers": ["yes"], "lang": "fi", "split": "dev", **changes}


def mkqa(example_id: int = 1, **answers: list[dict[str, Any]]) -> dict[str, Any]:
    given = answers or {"ko": [{"type": "entity", "text": "서울", "aliases": ["서울시"]}], "en": [{"text": "Seoul"}]}
    return {"example_id": example_id, "queries": {lang: f"{lang}?" for lang in given}, "answers": given}


def read(kind: str, file: str, lang: str, **more: Any) -> Dataset:
    return load("mine", parse({"kind": kind, "file": file, "langs": [lang], **more}), lang)


def test_yes_and_no_of_xor_tydi_have_native_synonyms(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", xor("1"), xor("2", answers=["No"]), xor("3", lang="ko"))
    assert [q.answers for q in read("xor_tydi", file, "fi").questions] == [("yes", "kyllä", "joo"), ("No", "ei")]
    assert read("xor_tydi", file, "ko").questions[0].answers == ("yes", "예")


def test_the_official_references_of_xor_tydi_are_those_of_its_file(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", xor("1"), xor("2", answers=["No"]))
    assert [q.official_answers for q in read("xor_tydi", file, "fi").questions] == [("yes",), ("No",)]


def test_native_words_that_the_research_harness_lacks_are_added_only_on_request(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", xor("1", lang="te"), xor("2"))
    assert read("xor_tydi", file, "te").questions[0].answers == ("yes",)
    assert read("xor_tydi", file, "te", yes_no="native_all").questions[0].answers == ("yes", "అవును")
    assert read("xor_tydi", file, "fi", yes_no="raw").questions[0].answers == ("yes",)


def test_the_signature_states_which_words_for_yes_and_no_are_references() -> None:
    signed = [reference_signature({"kind": "xor_tydi", "yes_no": v}) for v in ("native", "raw")]
    assert signed == ["format:xor_tydi|yesno:native", "format:xor_tydi|yesno:raw"]


def test_the_official_references_of_mkqa_have_the_aliases(tmp_path: Path) -> None:
    assert read("mkqa", write(tmp_path / "m.jsonl", mkqa()), "ko").questions[0].official_answers == ("서울", "서울시")


def test_questions_in_other_languages_are_counted(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", xor("1"), xor("2", lang="ko"), xor("3", lang="ko"))
    assert read("xor_tydi", file, "fi").left_out == {"in another language": 2}


def test_a_note_says_if_the_number_of_questions_is_not_the_expected_one(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", xor())
    assert read("xor_tydi", file, "fi", expected={"fi": 615}).notes == ["mine: 1 questions, expected 615"]
    assert read("xor_tydi", file, "fi", expected={"fi": 1}).notes == []


def test_aliases_of_mkqa_are_references_only_if_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "m.jsonl", mkqa())
    assert read("mkqa", file, "ko").questions[0].answers == ("서울",)
    assert read("mkqa", file, "ko", aliases=True).questions[0].answers == ("서울", "서울시")


def test_an_mkqa_question_knows_its_answer_in_other_languages(tmp_path: Path) -> None:
    file = write(tmp_path / "m.jsonl", mkqa())
    assert read("mkqa", file, "ko").questions[0].elsewhere == {"en": ("Seoul",)}


def test_mkqa_questions_without_words_for_an_answer_are_counted(tmp_path: Path) -> None:
    unanswerable = [{"type": "unanswerable", "text": None}]
    file = write(tmp_path / "m.jsonl", mkqa(1), mkqa(2, ko=unanswerable))
    dataset = read("mkqa", file, "ko")
    assert len(dataset.questions) == 1
    assert dataset.left_out == {"without an answer in words": 1}


@pytest.mark.parametrize("ids", ["1\n3\n", '{"id": "1", "input": "..."}\n{"id": 3}\n'])
def test_the_ids_of_a_subset_are_lines_or_kilts_records(tmp_path: Path, ids: str) -> None:
    (tmp_path / "ids").write_text(ids)
    file = write(tmp_path / "m.jsonl", mkqa(1), mkqa(2))
    dataset = read("mkqa", file, "ko", ids=str(tmp_path / "ids"))
    assert [q.question_id for q in dataset.questions] == ["1"]
    assert dataset.left_out == {"not among the ids": 1, "among the ids, but not in the file": 1}


def test_the_scripts_of_chinese_are_different_languages(tmp_path: Path) -> None:
    texts = {lang: [{"text": text}] for lang, text in (("zh_cn", "首尔"), ("zh_hk", "首爾"), ("en", "Seoul"))}
    file = write(tmp_path / "m.jsonl", mkqa(1, **texts))
    simplified, traditional = (read("mkqa", file, lang).questions[0] for lang in ("zh", "zh_hk"))
    assert (simplified.lang, simplified.answers) == ("zh", ("首尔",))
    assert (traditional.lang, traditional.answers) == ("zh-Hant", ("首爾",))


def test_all_26_languages_of_mkqa_are_known() -> None:
    from qttrag.text.languages import language

    codes = "ar,da,de,en,es,fi,fr,he,hu,it,ja,ko,km,ms,nl,no,pl,pt,ru,sv,th,tr,vi,zh_cn,zh_hk,zh_tw"
    assert len({language(code).code for code in codes.split(",")}) == 25  # Hong Kong and Taiwan write the same language


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({"id": "1", "question": "?", "answers": ["a"]}, "`lang` must be a text"),
        ({"id": "1", "question": " ", "answers": ["a"], "lang": "fi"}, "`question` must be a text"),
        ({"id": "1", "question": "?", "answers": [], "lang": "fi"}, "cannot be scored"),
        ({"id": "1", "question": "?", "answers": [1], "lang": "fi"}, "`answers` must be a list of texts"),
        ({"id": "1", "question": "?", "answers": "a", "lang": "xx"}, "unknown language 'xx'"),
        ({"id": "1", "question": "?", "answers": "a", "lang": "fi", "anser": 1}, "unknown field 'anser'"),
        ([1], "a list, not an object"),
    ],
)
def test_a_bad_record_is_refused_with_its_line(tmp_path: Path, record: Any, complaint: str) -> None:
    good = {"id": "0", "question": "?", "answers": ["a"], "lang": "fi"}
    with pytest.raises(InputError, match=r"q\.jsonl:2") as refused:
        read("jsonl", write(tmp_path / "q.jsonl", good, record), "fi")
    assert complaint in str(refused.value)


@pytest.mark.parametrize("kind", ["jsonl", "xor_tydi", "mkqa"])
def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path, kind: str) -> None:
    record = mkqa(1, fi=[{"text": "Suomi"}]) if kind == "mkqa" else {k: v for k, v in xor().items() if k != "split"}
    file = Path(write(tmp_path / "x.jsonl", record))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read(kind, str(file), "fi").questions) == 1


@pytest.mark.parametrize("kind", ["jsonl", "xor_tydi", "mkqa"])
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"id": "1", "question": "\\ud83d?"}', r"'\ud83d' is half of a character"),
        ('{"id": "1", "answers": ["a\\uDE00"]}', r"'\ude00' is half of a character"),
        ('{"id": ' + "[" * 100_000, "not JSON"),
        ('{"id": ' + "1" * 5000 + "}", "not JSON"),
    ],
)
def test_a_line_that_holds_no_text_is_refused_with_its_place(
    tmp_path: Path, kind: str, line: str, complaint: str
) -> None:
    (tmp_path / "x.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(InputError, match=r"x\.jsonl:2: ") as refused:
        read(kind, str(tmp_path / "x.jsonl"), "fi")
    assert complaint in str(refused.value)


def test_both_halves_of_a_character_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(xor(question="Mikä on 😀?"), ensure_ascii=True))
    assert read("xor_tydi", str(tmp_path / "x.jsonl"), "fi").questions[0].text == "Mikä on 😀?"


@pytest.mark.parametrize(("kind", "record"), [("xor_tydi", xor("2", lang="xx")), ("mkqa", mkqa(2, xx=[]))])
def test_an_unknown_language_is_refused_with_its_place(tmp_path: Path, kind: str, record: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"x\.jsonl:1: unknown language 'xx'"):
        read(kind, write(tmp_path / "x.jsonl", record), "fi")


@pytest.mark.parametrize("answer", [{"text": 1995}, {"text": "a", "aliases": "Seoul"}, {"text": "a", "aliases": [1]}])
def test_an_answer_of_mkqa_that_is_no_text_is_refused(tmp_path: Path, answer: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"m\.jsonl:1: an answer has a `text`"):
        read("mkqa", write(tmp_path / "m.jsonl", mkqa(1, ko=[answer])), "ko", aliases=True)


def test_ids_that_are_not_json_are_refused_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("1\n{\n")
    with pytest.raises(InputError, match="ids:2: not JSON"):
        read("mkqa", write(tmp_path / "m.jsonl", mkqa(1)), "ko", ids=str(tmp_path / "ids"))


def test_a_damaged_archive_is_refused_with_the_line_where_it_ends(tmp_path: Path) -> None:
    records = "".join(json.dumps(xor(str(n), question=f"{n}?" * 50)) + "\n" for n in range(500))
    whole = gzip.compress(records.encode())
    for damage in (whole[:-200], whole[:10] + b"\xff" + whole[11:], b"x" + whole):
        (tmp_path / "x.jsonl.gz").write_bytes(damage)
        with pytest.raises(InputError, match=r"x\.jsonl\.gz:\d+: not a whole gzip archive"):
            read("xor_tydi", str(tmp_path / "x.jsonl.gz"), "fi")


def test_a_line_of_another_encoding_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(json.dumps(xor()).encode() + b'\n{"id": "\xe4"}\n')
    with pytest.raises(InputError, match=r"x\.jsonl:2: not UTF-8"):
        read("xor_tydi", str(tmp_path / "x.jsonl"), "fi")


def test_a_repeated_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the id '1' occurs twice"):
        read("xor_tydi", write(tmp_path / "x.jsonl", xor(), xor()), "fi")


def test_a_file_without_the_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no question in 'te' \(1 in another language\)"):
        read("xor_tydi", write(tmp_path / "x.jsonl", xor()), "te")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{", b"not gzip"])
def test_a_file_that_is_not_a_dataset_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("x.jsonl.gz" if content == b"not gzip" else "x.jsonl")
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.jsonl"):
        read("xor_tydi", str(path), "fi")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no dataset file 'nowhere\.jsonl'"):
        read("xor_tydi", "nowhere.jsonl", "fi")


def test_the_demo_is_read_as_xor_tydi_and_as_mkqa_and_agrees(tmp_path: Path) -> None:
    corpus.write(tmp_path)
    as_xor = read("xor_tydi", str(tmp_path / "xor-test.jsonl"), "ko", qrels=str(tmp_path / "qrels-test.trec"))
    as_mkqa = read("mkqa", str(tmp_path / "mkqa-test.jsonl.gz"), "ko", aliases=True)
    assert len(as_xor.questions) == len(as_mkqa.questions) > 50
    assert [q.text for q in as_xor.questions] == [q.text for q in as_mkqa.questions]
    assert [q.answers for q in as_xor.questions] == [q.answers for q in as_mkqa.questions]
    assert all(q.gold for q in as_xor.questions)
    assert as_xor.notes == []


@shared_data.needs(shared_data.XOR_TYDI)
@pytest.mark.parametrize(("lang", "n"), [("ko", 371), ("fi", 615), ("ja", 433), ("te", 351)])
def test_xor_tydi_has_the_published_number_of_questions(lang: str, n: int) -> None:
    dataset = read("xor_tydi", str(shared_data.XOR_TYDI), lang, expected={lang: n})
    assert (len(dataset.questions), dataset.notes) == (n, [])
    assert sum(dataset.left_out.values()) == 3473 - n


@shared_data.needs(shared_data.XOR_TYDI)
@pytest.mark.parametrize(("lang", "n"), [("ko", 35), ("ja", 86)])
def test_the_native_words_change_the_references_of_the_yes_no_questions_alone(lang: str, n: int) -> None:
    questions = read("xor_tydi", str(shared_data.XOR_TYDI), lang).questions
    assert sum(q.answers != q.official_answers for q in questions) == n


def test_a_file_of_the_hub_is_downloaded_at_its_commit_once(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    with gzip.open(served / "x.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(xor()))
    code = (
        "import sys; from qttrag.evaluation.datasets import load, parse\n"
        "file = {'repo': 'acme/questions', 'revision': sys.argv[1], 'file': 'x.jsonl.gz'}\n"
        "settings = parse({'kind': 'xor_tydi', 'file': file, 'langs': ['fi']})\n"
        "print(load('mine', settings, 'fi').questions[0].question_id)"
    )
    with Hub() as hub:
        commit = hub.push("datasets/acme/questions", served)
        hub.push("datasets/acme/questions", tmp_path)
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}

        def download(revision: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", code, revision]
            return subprocess.run(command, env=environment, capture_output=True, text=True)

        assert download(commit).stdout == "1\n"
        hub.asked.clear()
        assert download(commit).stdout == "1\n"
        assert not [path for path in hub.asked if "questions" in path]
        assert "could not be downloaded" in download("0" * 40).stderr
        assert "should match pattern" in download("main").stderr


def test_own_questions_can_have_passages_and_no_answer(tmp_path: Path) -> None:
    asked = {"id": "1", "question": "?", "lang": "fi", "answerable": False}
    passages = ["Suomeksi.", {"id": "p", "text": "In English.", "lang": "en", "title": "T"}]
    file = write(tmp_path / "m.jsonl", {**asked, "passages": passages})
    (question,) = read("jsonl", file, "fi").questions
    assert (question.answers, question.answerable) == ((), False)
    assert [(p.passage_id, p.lang, p.title) for p in question.passages or ()] == [("0", "fi", ""), ("p", "en", "T")]


def test_own_questions_can_have_choices_and_nuggets(tmp_path: Path) -> None:
    record = {"id": "1", "question": "Kumpi?", "lang": "fi", "answers": ["Turku"], "choices": ["Oulu", "Turku"],
              "nuggets": ["1827", ["palo", "tulipalo"]]}  # fmt: skip
    (question,) = read("jsonl", write(tmp_path / "m.jsonl", record), "fi").questions
    assert (question.text, question.choices) == ("Kumpi?\nA. Oulu\nB. Turku", ("Oulu", "Turku"))
    assert question.nuggets == (("1827",), ("palo", "tulipalo"))


def test_an_empty_list_of_passages_is_read_and_none_is_searched(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{"passages": []}, {"passages": None}, {}]
    records = [
        {"id": str(n), "question": "?", "lang": "fi", "answers": ["x"], **more} for n, more in enumerate(changes)
    ]
    questions = read("jsonl", write(tmp_path / "m.jsonl", *records), "fi").questions
    assert [question.passages for question in questions] == [(), None, None]


@pytest.mark.parametrize(
    "change",
    [{"answers": []}, {"answerable": "no"}, {"answers": ["x"], "passages": [1]}, {"answers": ["x"], "choices": ["x"]},
     {"answers": ["x"], "choices": ["y", "z"]}, {"answers": ["x"], "nuggets": "y"},
     {"answers": ["x"], "nuggets": [[]]}],
)  # fmt: skip
def test_questions_that_cannot_be_scored_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = write(tmp_path / "m.jsonl", {"id": "1", "question": "?", "lang": "fi", **change})
    with pytest.raises(InputError, match=r"m\.jsonl:1: "):
        read("jsonl", file, "fi")
