"""One function decides for the language guard and for the metric `correct_language`."""

from __future__ import annotations

import pytest

from qttrag.detectors.script import ScriptDetector, detect
from qttrag.evaluation.metrics.language import in_language
from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.text.language_check import Judgement, judge
from qttrag.text.languages import ALIKE, LANGUAGES
from qttrag.types import UNDETERMINED, Lang

CASES = [
    ("ko", "다리는 1903년에 개통되었다.", "right"),
    ("ko", "1903년", "right"),
    ("ko", "1903", "cannot tell"),
    ("zh", "東京", "cannot tell"),
    ("sr", "Najveća reka u Srbiji je Dunav, a deca uče u školi.", "right"),
    ("sr", "Највећа река у Србији је Дунав.", "right"),
    ("sr", "The largest river in Serbia is the Danube.", "wrong"),
    ("en", "Ｔｈｅ ｂｒｉｄｇｅ ｗａｓ ｏｐｅｎｅｄ ｉｎ １９０３．", "right"),
    ("ko", "\u3164\u3164", "cannot tell"),
    ("ko", "...", "cannot tell"),
    ("ko", "", "cannot tell"),
    ("ko", "Helsinki", "cannot tell"),
    ("ko", "Ludwig van Beethoven", "cannot tell"),
    ("ko", "5 km", "cannot tell"),
    ("ko", "The bridge was opened in 1903.", "wrong"),
    ("ko", "iron ore", "wrong"),
    ("ko", "桥于1903年通车。", "wrong"),
    ("ko", "답은 Helsinki입니다.", "right"),
    ("zh", "北京", "right"),
    ("zh", "这座桥于1903年通车。", "right"),
    ("zh", "橋は1903年に開通した。", "wrong"),
    ("zh", "東京です", "wrong"),
    ("zh-Hant", "臺北", "right"),
    ("yue", "北京", "cannot tell"),
    ("ja", "東京", "cannot tell"),
    ("ja", "1903年に開通", "right"),
    ("ja", "東京です", "right"),
    ("ja", "橋は1903年に開通した。", "right"),
    ("ja", "这座桥于1903年建成通车。", "wrong"),
    ("ja", "서울", "wrong"),
    ("fi", "Silta avattiin liikenteelle vuonna 1903.", "right"),
    ("fi", "The bridge was opened to traffic in 1903.", "wrong"),
    ("fi", "Helsinki", "cannot tell"),
    ("fi", "Tässä on se silta", "cannot tell"),
    ("fi", "서울", "wrong"),
    ("en", "The bridge was opened to traffic in 1903.", "right"),
    ("en", "Мост был открыт в 1903 году.", "wrong"),
    ("ar", "افتتح الجسر لحركة المرور عام 1903.", "right"),
    ("ar", "این پل در سال ۱۹۰۳ برای رفت و آمد افتتاح شد.", "wrong"),
    ("ar", "پل تهران", "cannot tell"),
    ("fa", "این پل در سال ۱۹۰۳ برای رفت و آمد افتتاح شد.", "right"),
    ("nb", "Broen blev åbnet for trafik i 1903 af kongen.", "cannot tell"),
    ("nb", "Silta avattiin liikenteelle vuonna 1903.", "wrong"),
    ("da", "Broen blev åbnet for trafik i 1903 af kongen.", "right"),
    ("ru", "Мост был открыт для движения в 1903 году.", "right"),
    ("th", "สะพานเปิดใช้ในปี 1903", "right"),
    ("th", "กรุงเทพ", "right"),
    ("th", "The bridge was opened in 1903.", "wrong"),
]


@pytest.mark.parametrize(("lang", "text", "outcome"), CASES)
def test_a_text_is_judged_by_its_scripts_and_the_detected_language(lang: str, text: str, outcome: str) -> None:
    assert judge(text, Lang(lang), detect(text)).outcome == outcome


@pytest.mark.parametrize(("lang", "text", "outcome"), CASES)
async def test_the_guard_and_the_metric_agree(lang: str, text: str, outcome: str) -> None:
    expected = {"right": True, "wrong": False, "cannot tell": None}[outcome]
    assert (await LanguageGuard(ScriptDetector()).judge(text, Lang(lang))).outcome == outcome
    assert in_language(text, Lang(lang), ()) is expected


@pytest.mark.parametrize(
    ("text", "references", "outcome"),
    [
        ("Seoul", ["서울"], "wrong"),
        ("BTS", ["BTS"], "cannot tell"),
        ("iron ore", ["iron ore"], "cannot tell"),
        ("polly cooper", ["Polly Cooper"], "cannot tell"),
        ("The answer is iron ore", ["iron ore"], "wrong"),
        ("Пётр", ["Пётр I"], "cannot tell"),
        ("Пётр", ["표트르"], "wrong"),
    ],
)
def test_references_decide_which_names_may_be_in_a_foreign_script(
    text: str, references: list[str], outcome: str
) -> None:
    assert judge(text, Lang("ko"), detect(text), references).outcome == outcome


def test_a_wrong_language_is_named() -> None:
    assert judge("The bridge was opened to traffic in 1903.", Lang("fi"), Lang("en")) == Judgement("wrong", Lang("en"))


def test_a_text_that_no_detector_knows_cannot_be_judged() -> None:
    text = "The bridge was opened to traffic in 1903."
    assert judge(text, Lang("fi"), UNDETERMINED) == Judgement("cannot tell")


def test_alike_languages_are_languages() -> None:
    assert {lang for group in ALIKE for lang in group} <= LANGUAGES.keys()
