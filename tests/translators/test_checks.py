from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.text.languages import LANGUAGES
from qttrag.translators.checks import flags
from qttrag.types import Lang
from tests import shared_data
from tests.texts import LANGS, paragraph

EN, KO, FI, ZH, JA, RU, AR = map(Lang, ("en", "ko", "fi", "zh", "ja", "ru", "ar"))
BRIDGE = {
    EN: "The oldest bridge of the city was opened in the year 1917 and closed again in 1950.",
    KO: "이 도시에서 가장 오래된 다리는 1917년에 개통되었다가 1950년에 다시 폐쇄되었다.",
    FI: "Kaupungin vanhin silta avattiin vuonna 1917 ja suljettiin jälleen vuonna 1950.",
    ZH: "该市最古老的桥于1917年通车，1950年再次关闭，此后一直没有重新开放。",
    JA: "この町で最も古い橋は1917年に開通し、1950年に再び閉鎖された。",
    RU: "Старейший мост города был открыт в 1917 году и снова закрыт в 1950 году.",
}
DATA = shared_data.FOLDER / "data"


@pytest.mark.parametrize("target", BRIDGE)
@pytest.mark.parametrize("source", BRIDGE)
def test_a_good_translation_has_no_flag(source: Lang, target: Lang) -> None:
    if source != target:
        assert flags(BRIDGE[source], BRIDGE[target], source, target) == ()


@pytest.mark.parametrize("source", LANGS)
@pytest.mark.parametrize("target", LANGS)
def test_a_good_translation_of_a_passage_that_repeats_its_phrases_has_no_flag(source: str, target: str) -> None:
    if source != target:
        assert flags(paragraph(source, 6), paragraph(target, 6), Lang(source), Lang(target)) == ()


@pytest.mark.parametrize("nothing", ["", " \n", ".", "…"])
def test_a_translation_without_words_is_empty(nothing: str) -> None:
    assert flags(BRIDGE[EN], nothing, EN, KO) == ("empty",)


def test_a_source_without_words_may_stay_the_same() -> None:
    assert flags("1988.", "1988.", EN, KO) == ()
    assert flags("...", "", EN, KO) == ()


@pytest.mark.parametrize("source", BRIDGE)
def test_the_source_repeated_is_copied(source: Lang) -> None:
    target = FI if source != FI else KO
    assert "copied" in flags(BRIDGE[source], BRIDGE[source], source, target)


def test_the_source_repeated_with_small_changes_is_copied() -> None:
    assert flags(BRIDGE[EN], BRIDGE[EN].lower().replace(".", "!").replace("1917", "1918"), EN, FI) == ("copied",)


@pytest.mark.parametrize(
    "name", ["Helsinki", "University of Helsinki", "Johann Sebastian Bach (Eisenach, Leipzig)", "OpenStreetMap"]
)
def test_a_name_may_stay_the_same(name: str) -> None:
    assert flags(name, name, EN, FI) == ()
    assert flags(name, name, EN, KO) == ()


def test_a_text_in_the_target_language_is_no_copy() -> None:
    assert flags(BRIDGE[EN], BRIDGE[EN], EN, EN) == ()


@pytest.mark.parametrize(
    "loop",
    [
        "다리는 " * 20,
        "다리는 1917년에 개통되었다. " + "그리고 다시, " * 8,
        "다리다리다리다리다리다리다리다리",
        "이 도시에서 가장 오래된 다리는 이 도시에서 가장 오래된 다리는 이 도시에서 가장 오래된 다리는",
    ],
)
def test_a_translation_that_repeats_itself_is_a_loop(loop: str) -> None:
    assert flags(BRIDGE[EN], loop, EN, KO) == ("loop",)


def test_a_translation_may_repeat_itself_as_the_source_does() -> None:
    assert flags("hello, " * 6, "안녕하세요, " * 6, EN, KO) == ()


def test_a_line_of_dots_is_no_loop() -> None:
    assert flags(BRIDGE[EN], BRIDGE[KO] + " " + "." * 60, EN, KO) == ()


@pytest.mark.parametrize(("source", "target", "given_in"), [(EN, KO, FI), (EN, KO, RU), (EN, ZH, KO), (KO, EN, RU)])
def test_another_script_than_the_targets_is_flagged(source: Lang, target: Lang, given_in: Lang) -> None:
    assert flags(BRIDGE[source], BRIDGE[given_in], source, target) == ("script",)


def test_names_of_the_source_may_keep_its_letters() -> None:
    source = "The band Nightwish and Apocalyptica play with Lordi."
    assert flags(source, "밴드 Nightwish와 Apocalyptica가 Lordi와 함께 연주한다.", EN, KO) == ()


def test_names_in_latin_letters_may_come_from_another_script() -> None:
    assert flags("Группа «Найтвиш» из Китее играет рок.", "来自基泰的乐队 Nightwish 演奏摇滚乐。", RU, ZH) == ()


@given(st.text(max_size=200), st.text(max_size=200), st.sampled_from([EN, KO, ZH, AR]))
def test_no_text_raises_an_error(source: str, translation: str, target: Lang) -> None:
    assert set(flags(source, translation, RU, target)) <= {"empty", "copied", "loop", "script"}


@pytest.mark.skipif(not (DATA / "flores200").is_dir(), reason=f"no FLORES-200 in {DATA}")
@pytest.mark.parametrize(("source", "target"), [(EN, KO), (EN, FI), (EN, ZH), (KO, EN), (ZH, FI), (RU, JA)])
def test_human_translations_of_flores_have_no_flag(source: Lang, target: Lang) -> None:
    folder = DATA / "flores200" / "dev"
    ours, theirs = (
        (folder / f"{LANGUAGES[lang].nllb}.dev").read_text(encoding="utf-8").split("\n") for lang in (source, target)
    )
    flagged = [(a, b) for a, b in zip(ours, theirs, strict=True) if flags(a, b, source, target)]
    assert flagged == []
