"""Names, negations and omissions, and what a tagger does with critical errors."""

from __future__ import annotations

import pytest

from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.taggers.critical_errors import lexicon as lexicons
from qttrag.taggers.critical_errors.check import Check, critical_errors
from qttrag.taggers.critical_errors.names import missing_names
from qttrag.taggers.critical_errors.negation import negation_differs
from qttrag.taggers.critical_errors.omission import lengths, omits_sentences
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeGenerator
from qttrag.text.languages import LANGUAGES
from qttrag.trace import Trace
from qttrag.types import CriticalError, Lang, QualityScores, Verdict
from tests.test_prompts import OWN

EN, KO, FI, ZH, JA, RU, CS, DE = map(Lang, ("en", "ko", "fi", "zh", "ja", "ru", "cs", "de"))
TEN_THOUSAND = ("over 10,000 people", "1,000명이 넘는 사람들")


@pytest.mark.parametrize("lang", OWN)
def test_every_language_with_prompts_has_words(lang: str) -> None:
    words = lexicons.lexicon(Lang(lang))
    assert words is not None
    assert words.numbers.words
    assert words.negation.words
    assert Lang(lang) in lengths()


@pytest.mark.parametrize("lang", OWN)
def test_the_words_of_a_language_have_no_unknown_keys(lang: str) -> None:
    data = yaml_files.read_yaml(lexicons._FOLDER / f"{lang}.yaml")
    assert set(data) <= set(lexicons.Lexicon.__slots__)
    assert all(isinstance(word, str) for key in ("negation", "near_negation") for word in data[key])
    assert len(data["months"]) in (0, 12)


def test_all_languages_with_a_usual_length_are_known() -> None:
    assert set(lengths()) <= set(LANGUAGES)


# names


def test_a_latin_name_has_to_be_in_a_latin_translation() -> None:
    assert missing_names("그는 Twitter에 글을 올렸다.", "He posted it on Facebook.", KO, EN) == ("Twitter",)
    assert missing_names("그는 Twitter에 글을 올렸다.", "Hän julkaisi sen Twitterissä.", KO, FI) == ()


def test_a_name_may_be_transliterated() -> None:
    assert missing_names("Об этом рассказал Михаил Корб.", "Mikhail Korb spoke of it.", RU, EN) == ()
    assert missing_names("Об этом рассказал Михаил Корб.", "The secretary spoke of it.", RU, EN) == ("Михаил Корб",)
    assert missing_names("He met Mikhail Gorbachev.", "그는 미하일 고르바초프를 만났다.", EN, KO) == ()
    assert missing_names("He met Mikhail Gorbachev.", "그는 대통령을 만났다.", EN, KO) == ("Mikhail Gorbachev",)
    assert missing_names("A fire broke out near Fort Greely.", "フォートグリーリーで火災が発生した。", EN, JA) == ()


def test_a_name_may_be_spelt_and_inflected_otherwise() -> None:
    assert missing_names("Tapasin Kalle Virtasen.", "I met Kalle Virtanen.", FI, EN) == ()
    assert missing_names("Byl to Filip Novák.", "It was the defender.", CS, EN) == ("Filip Novák",)


def test_a_name_may_be_translated_if_the_translation_has_a_name_instead() -> None:
    assert missing_names("Hän asuu nyt Saksassa.", "Now he lives in Germany.", FI, EN) == ()
    assert missing_names("Hän asuu nyt Saksassa.", "Now he lives there.", FI, EN) == ("Saksassa",)


def test_names_that_are_made_of_words_are_not_compared() -> None:
    assert missing_names("the Black Sea", "Musta meri", EN, FI) == ()
    assert missing_names("In the United Kingdom", "영국에서", EN, KO) == ()


def test_the_first_word_of_a_sentence_is_no_name_by_its_capital() -> None:
    assert missing_names("Huomenna sataa. Silta on kiinni.", "It will rain, the bridge is closed.", FI, EN) == ()


def test_single_names_are_compared_only_in_english() -> None:
    assert missing_names("He met Putin.", "그는 바이든을 만났다.", EN, KO) == ()
    assert missing_names("Он встретил Путина.", "He met the president.", RU, EN) == ("Путина",)


def test_names_are_not_compared_where_they_cannot_be_told() -> None:
    assert missing_names("Der Bau der Brücke", "the construction", DE, EN) == ()  # German nouns have capitals
    assert missing_names("He met Mikhail Gorbachev.", "他见了总统。", EN, ZH) == ()
    assert missing_names("He met Mikhail Gorbachev.", "?", Lang("und"), KO) == ()


def test_roman_numerals_are_no_names() -> None:
    assert missing_names("во время XVIII века", "during the 18th century", RU, EN) == ()


# negation


@pytest.mark.parametrize(
    ("original", "translation", "source", "target"),
    [
        ("The bridge was not opened.", "다리가 개통되었다.", "en", "ko"),
        ("The bridge was opened.", "다리가 개통되지 않았다.", "en", "ko"),
        ("Siltaa ei avattu.", "The bridge was opened.", "fi", "en"),
        ("Мост не открыли.", "The bridge was opened.", "ru", "en"),
        ("He doesn’t live there.", "Il y habite.", "en", "fr"),
    ],
)
def test_a_lost_or_added_negation_is_found(original: str, translation: str, source: str, target: str) -> None:
    assert negation_differs(original, translation, Lang(source), Lang(target))


@pytest.mark.parametrize(
    ("original", "translation", "source", "target"),
    [
        ("The bridge was not opened.", "다리가 개통되지 않았다.", "en", "ko"),
        ("It works without a key.", "Se ei vaadi avainta.", "en", "fi"),
        ("not only in Finland", "Suomen lisäksi muuallakin", "en", "fi"),
        ("行かなければならない。", "He has to go.", "ja", "en"),
        ("It was impossible.", "それはできない。", "en", "ja"),
        ("The bridge was not opened.", "Most otwarto.", "en", "pl"),
    ],
)
def test_what_may_be_a_negation_counts_as_one(original: str, translation: str, source: str, target: str) -> None:
    assert not negation_differs(original, translation, Lang(source), Lang(target))


# omission


WHOLE = "The bridge was built by the city between 1897 and 1903. It crosses the northern strait and carries trams."


def test_a_translation_without_a_sentence_omits_it() -> None:
    assert omits_sentences(WHOLE, "Kaupunki rakensi sillan vuosina 1897–1903.", EN, FI)
    assert not omits_sentences(
        WHOLE, "Kaupunki rakensi sillan vuosina 1897–1903. Se ylittää pohjoisen salmen, ja siitä kulkee raitiovaunuja.",
        EN, FI,
    )  # fmt: skip


def test_characters_say_more_in_some_scripts() -> None:
    whole = "이 다리는 1897년부터 1903년까지 시가 건설했다. 북쪽 해협을 건너며 전차가 다닌다."
    assert len(whole) < len(WHOLE) * 0.5
    assert not omits_sentences(WHOLE, whole, EN, KO)
    assert omits_sentences(WHOLE, "이 다리는 시가 건설했다.", EN, KO)


def test_short_texts_and_unknown_languages_are_not_measured() -> None:
    assert not omits_sentences("The bridge. It is long.", "Silta.", EN, FI)
    assert not omits_sentences(WHOLE, "x", EN, Lang("ace"))


# together


def test_the_error_of_the_paper_is_found() -> None:
    assert critical_errors(*TEN_THOUSAND, EN, KO) == (CriticalError("numbers", ("10,000",)),)


def test_an_empty_translation_and_an_unknown_language_have_no_critical_errors() -> None:
    assert critical_errors("over 10,000 people", " ", EN, KO) == ()
    assert critical_errors("10,000", "10 000", Lang("und"), KO) == ()


def test_scores_stay_and_errors_are_counted_without_a_cap() -> None:
    trace = Trace()
    with trace.stage("tag"):
        (verdict,) = Check().checked([Verdict(QualityScores(4.5, 4.0))], [TEN_THOUSAND[0]], [TEN_THOUSAND[1]], [EN], KO)
    assert verdict.scores == QualityScores(4.5, 4.0)
    assert verdict.critical_errors == (CriticalError("numbers", ("10,000",)),)
    assert trace.counts == {"tag.critical.numbers": 1}


def test_a_cap_lowers_the_semantic_score_of_a_translation_with_an_error_only() -> None:
    verdicts = [Verdict(QualityScores(4.5, 4.0)), Verdict(QualityScores(1.0)), Verdict(QualityScores(4.5))]
    originals, translations = [TEN_THOUSAND[0]] * 3, [TEN_THOUSAND[1]] * 2 + ["10,000명이 넘는 사람들"]
    capped = Check(cap=2.0).checked(verdicts, originals, translations, [EN] * 3, KO)
    assert [verdict.scores for verdict in capped] == [QualityScores(2.0, 4.0), QualityScores(1.0), QualityScores(4.5)]


def test_an_unscored_translation_has_its_errors() -> None:
    (verdict,) = Check(cap=2.0).checked([Verdict(None, "range")], [TEN_THOUSAND[0]], [TEN_THOUSAND[1]], [EN], KO)
    assert (verdict.scores, verdict.cause, len(verdict.critical_errors)) == (None, "range", 1)


def test_a_cap_that_is_no_score_or_has_no_flags_is_refused() -> None:
    with pytest.raises(ConfigError, match="`cap: 7` is not a score"):
        Check(cap=7)
    with pytest.raises(ConfigError, match="remove `flags: false`"):
        Check(flags=False, cap=2)


@pytest.mark.parametrize(("flags", "kinds"), [(True, ["numbers"]), (False, [])])
async def test_a_tagger_flags_what_its_model_scores_high(flags: bool, kinds: list[str]) -> None:
    from qttrag.prompts import Prompts

    reply = '{"semantic": 4.5, "grammar": 4.5, "fluency": 4.5}'
    tagger = LLMTagger(generator=FakeGenerator(lambda messages: reply), prompts=Prompts(), flags=flags)
    (verdict,) = await tagger.score([TEN_THOUSAND[0]], [TEN_THOUSAND[1]], [EN], KO)
    assert [error.kind for error in verdict.critical_errors] == kinds
