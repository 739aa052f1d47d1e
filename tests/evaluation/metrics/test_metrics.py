"""The measures of this project: the quirks of the research harness that they avoid, and when they cannot tell."""

from __future__ import annotations

import statistics
import unicodedata
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets import Question, load, parse
from qttrag.evaluation.metrics import (
    AnswerCase,
    PassageMatch,
    QuestionSet,
    answer_recall,
    bergen,
    cost,
    entities,
    retrieval,
)
from qttrag.evaluation.metrics.chrf import chrf
from qttrag.evaluation.metrics.language import in_language
from qttrag.evaluation.metrics.language_neutral import score
from qttrag.evaluation.metrics.registry import evaluate
from qttrag.evaluation.metrics.unscored import unscored
from qttrag.evaluation.metrics.wrong_language import is_wrong_language
from qttrag.text.matching import contains
from qttrag.types import Lang, Passage, QualityScores, TaggedPassage
from tests import shared_data


@pytest.mark.parametrize(
    ("prediction", "reference"),
    [
        ("통화는 유로입니다", "유로"),
        ("答案是北京。", "北京"),
        ("北 京", "北京"),
        ("대한 민국", "대한민국"),
        (unicodedata.normalize("NFD", "서울특별시"), "서울특별시"),
        ("１９５０年", "1950年"),
        ("STRASSE", "Straße"),
        ("Côte d’Ivoire", "Côte d'Ivoire"),
        ("пётр I", "Пётр I"),
        ("C++", "C++"),
        ("...", "..."),
    ],
)
def test_recall_is_one_for_a_right_answer_in_any_spelling(prediction: str, reference: str) -> None:
    assert score(prediction, [reference]).char3 == 1.0


def test_the_research_harness_misses_half_of_these() -> None:
    assert bergen.score("答案是北京。", ["北京"]).char3 == 0.0
    assert bergen.score("北 京", ["北京"]).char3 == 0.0


def test_recall_is_the_share_of_the_references_grams() -> None:
    assert score("Helsingissä", ["Helsinki"]).char3 == 4 / 6  # hel els lsi sin | ink nki
    assert score("aaa", ["aaaaa"]).char3 == 1 / 3
    assert score("", ["서울"]).char3 == 0.0


def test_a_reference_without_words_matches_only_itself() -> None:
    assert bergen.score("Euro", ["the"]).match == 1.0
    assert score("Euro", ["the"]).match == 0.0
    assert score("Euro", ["!"]).match == 0.0
    assert score("!", ["!"]).em == 1.0


def test_english_articles_count_like_other_words() -> None:
    assert score("who", ["The Who"]).em == 0.0
    assert bergen.score("who", ["The Who"]).em == 1.0


@pytest.mark.parametrize(
    ("text", "reference", "contained"),
    [
        ("Hän asuu Helsingissä vuodesta 1970.", "1970", True),
        ("vuonna 19701", "1970", False),
        ("heinäkuussa", "ei", False),
        ("ei", "ei", True),
        ("Helsinkiin", "Helsinki", True),
        ("他住在北京市", "北京", True),
        ("수도는 서울입니다", "서울", True),
        ("1950년에", "1950년", True),
        ("약1950년", "1950년", True),
    ],
)
def test_a_reference_matches_at_the_start_of_a_word_and_numbers_match_whole(
    text: str, reference: str, contained: bool
) -> None:
    assert contains(text, [reference]) is contained


@pytest.mark.parametrize("measure", [bergen.score, score])
def test_a_prediction_of_a_megabyte_is_scored(measure: object) -> None:
    assert callable(measure)
    assert measure("서울 " * 250_000, ["서울"]).match == 1.0


LANGUAGE = [
    ("서울", "ko", ["서울"], True),
    ("Seoul", "ko", ["서울"], False),
    ("BTS", "ko", ["BTS"], None),
    ("1950", "ko", ["1950"], None),
    ("", "ko", ["서울"], None),
    ("정답은 Nokia 3310 입니다", "ko", ["Nokia 3310"], True),
    ("北京", "zh", ["北京"], True),
    ("東京", "ja", ["東京"], None),
    ("東京です", "ja", ["東京"], True),
    ("서울", "ja", ["ソウル"], False),
    ("東京です", "zh", ["东京"], False),
    ("Tukholma", "fi", ["Tukholma"], None),
    ("Kaupungin vanhin silta avattiin vuonna 1903.", "fi", ["1903"], True),
    ("The oldest bridge of the city was opened in the year 1903.", "fi", ["1903"], False),
    ("Мост был открыт в тысяча девятьсот третьем году.", "ru", ["1903"], True),
    ("다리", "fi", ["silta"], False),
    ("กรุงเทพ", "th", ["กรุงเทพ"], True),
]


@pytest.mark.parametrize(("answer", "lang", "references", "right"), LANGUAGE)
def test_the_language_of_an_answer(answer: str, lang: str, references: list[str], right: bool | None) -> None:
    assert in_language(answer, Lang(lang), references) is right


def test_a_right_answer_in_the_wrong_language_is_recognised() -> None:
    elsewhere = {"en": ("Seoul",), "fi": ("Soul",)}
    assert is_wrong_language("It is Seoul", ["서울"], elsewhere) is True
    assert is_wrong_language("서울 (Seoul)", ["서울"], elsewhere) is False
    assert is_wrong_language("Busan", ["서울"], elsewhere) is None
    assert is_wrong_language("1950", ["1950"], {"en": ("1950",)}) is False
    assert is_wrong_language("Seoul", ["서울"], {}) is None


def test_answer_recall_looks_for_the_answer_in_the_passages_own_language() -> None:
    question = Question("1", "?", Lang("fi"), ("Suomi",), {"en": ("Finland",), "ko": ("핀란드",)})
    english = answer_recall.match("A country called Finland.", "en", question)
    finnish = answer_recall.match("Suomi on maa.", "fi", question)
    assert (english, finnish) == ((False, True), (True, True))
    assert not answer_recall.match("A country called Finland.", "en", replace(question, elsewhere={})).has_answer
    matches = [PassageMatch(native=True, has_answer=False), english]
    assert [answer_recall.recall(matches, k) for k in (1, 2)] == [0.0, 1.0]
    assert answer_recall.recall(matches, 2, native=False) == 1.0
    assert answer_recall.recall(matches, 2, native=True) == 0.0


def case(*context: TaggedPassage, **fields: Any) -> AnswerCase:
    question = Question("1", "When did the bridge open?", Lang("ko"), ("bridge",), {"en": ("bridge",)})
    return AnswerCase(question, AnswerRecord("1", "다리", context, **fields), QuestionSet("jsonl", [question]))


def test_an_empty_translation_has_no_answer_because_the_generator_reads_nothing() -> None:
    untranslated, empty = evaluate(case(passage())), evaluate(case(passage(translation="")))
    for name in ("answer_recall@1", "answer_recall@5", "answer_recall_foreign@5"):
        assert (untranslated[name], empty[name]) == ((1.0, 1.0), (0.0, 1.0))


def test_an_empty_translation_adds_no_entity() -> None:
    assert not entities.added(["bridge"], passage(translation="", refined="The bridge."))
    assert entities.added(["turku"], passage(translation="", refined="Turku"))


def passage(**fields: object) -> TaggedPassage:
    return TaggedPassage(Passage("1", "The bridge opened.", Lang("en")), **fields)  # type: ignore[arg-type]


def test_missing_scores_are_counted_by_cause() -> None:
    scored = passage(translation="x", scores=QualityScores(1, 2, 3))
    context = [scored, passage(translation="x", unscored="range"), passage(), passage(translation="x")]
    assert unscored(context) == (Counter(range=1), 2)


def test_an_entity_of_the_question_that_only_the_refinement_has_is_recognised() -> None:
    names = entities.entities("When was Turku castle of 1280 built?", frozenset())
    assert names == ["turku", "1280"]
    assert entities.added(names, passage(refined="The bridge in Turku opened."))
    assert not entities.added(names, passage(refined="The bridge opened."))
    assert not entities.added(names, passage(translation="Turku: silta", refined="Turussa silta"))
    assert entities.added(names, passage()) is None


def test_entities_of_a_script_without_capitals_are_its_rare_words() -> None:
    questions = [f"{name} 언제 개통되었는가?" for name in ("남산타워는", "한강대교는", "서울역은", "부산항은")]
    common = entities.common_words(questions)
    assert entities.entities(questions[0], common) == ["남산타워는"]
    assert entities.added(["남산타워는"], passage(refined="남산타워가 개통되었다."))


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        (["乌干达的首都是哪里？", "法国的首都是哪里？"], ["乌干达"]),
        (["约翰·沙利文是谁？", "《红楼梦》的作者是谁？"], ["约翰", "利文"]),  # the dictionary cuts 沙利文 after 沙
        (["诺罗纳岛在哪里？", "台湾岛在哪里？"], ["诺罗纳"]),  # single characters to the dictionary
        (["クリアウォーターはどこですか", "東京はどこですか"], ["クリアウォーター"]),  # two pieces of katakana
        (["ウガンダの首都はどこですか", "フランスの首都はどこですか"], ["ウガンダ"]),
        (["เมืองหลวงของยูกันดาคืออะไร", "เมืองหลวงของฝรั่งเศสคืออะไร"], ["ยูกันดา"]),
        (["NBA의 한국 선수는 누구인가?", "MLB의 일본 선수는 누구인가?"], ["nba의", "한국"]),
        (["NBA选手是谁？", "MLB选手是谁？"], ["nba"]),
    ],
)  # fmt: skip
def test_entities_without_spaces_are_the_words_that_few_questions_have(
    questions: list[str], expected: list[str]
) -> None:
    assert entities.entities(questions[0], entities.common_words(questions)) == expected


@pytest.mark.parametrize(
    ("name", "translation", "refined", "expected"),
    [
        ("乌干达", "首都是坎帕拉。", "乌干达的首都是坎帕拉。", True),
        ("乌干达", "乌干达首都坎帕拉。", "乌干达的首都是坎帕拉。", False),
        ("ウガンダ", "首都はカンパラである。", "ウガンダの首都はカンパラである。", True),
        ("ウガンダ", "首都はカンパラである。", "その首都はカンパラである。", False),
        ("한국", "수도는 서울이다.", "한국의 수도는 서울이다.", True),
        ("ยูกันดา", "เมืองหลวงคือกัมปาลา", "เมืองหลวงของยูกันดาคือกัมปาลา", True),
    ],
)
def test_a_name_without_spaces_is_added_if_only_the_refinement_has_it(
    name: str, translation: str, refined: str, expected: bool
) -> None:
    assert entities.added([name], passage(translation=translation, refined=refined)) is expected


@pytest.mark.parametrize(
    ("lang", "question", "without", "with_name", "refined"),
    [
        ("ko", "{}의 수도는 어디인가?", "수도는 캄팔라다.", "우간다 수도는 캄팔라다.", "우간다의 수도는 캄팔라다."),
        ("zh", "{}的首都是哪里？", "首都是坎帕拉。", "乌干达首都是坎帕拉。", "乌干达的首都是坎帕拉。"),
        ("ja", "{}の首都はどこですか？", "首都はカンパラだ。", "ウガンダの首都だ。", "ウガンダの首都はカンパラだ。"),
    ],
)
def test_one_of_two_refinements_adds_the_name_of_the_question(
    lang: str, question: str, without: str, with_name: str, refined: str
) -> None:
    names = {"ko": ("우간다", "가나"), "zh": ("乌干达", "加纳"), "ja": ("ウガンダ", "ガーナ")}[lang]
    asked = [Question(name, question.format(name), Lang(lang), ("x",), {}) for name in names]
    context = tuple(passage(translation=translation, refined=refined) for translation in (without, with_name))
    answered = AnswerCase(asked[0], AnswerRecord(names[0], "x", context), QuestionSet("jsonl", asked))
    assert evaluate(answered)["entities_added"] == (1, 2)


def test_chrf_is_one_for_equal_texts_and_best_over_references() -> None:
    assert chrf("Helsinki on pääkaupunki", ["x", "Helsinki on pääkaupunki"]) == pytest.approx(1.0)
    assert chrf("", ["Helsinki"]) == 0.0


def test_retrieval_measures_are_zero_without_a_ranking_and_count_from_the_first_gold_passage() -> None:
    figures = retrieval.by_query({"1": {"a": 1}, "2": {"b": 1}}, {"1": ["x", "a"]})
    assert figures["1"] == pytest.approx({"nDCG@10": 0.6309297535714575, "RR@10": 0.5, "R@1": 0, "R@5": 1, "R@50": 1})
    assert figures["2"] == dict.fromkeys(retrieval.NAMES, 0.0)


def test_the_cost_of_an_answer_is_summed_over_its_stages() -> None:
    counts = {"tag.calls": 5, "answer.calls": 1, "tag.prompt_tokens": 50, "answer.prompt_tokens": 7, "tag.cached": 2}
    values = evaluate(case(counts={**counts, "translate.computed": 3}, seconds={"tag": 1.0, "answer": 0.5}))
    expected = {
        "prompt_tokens": 57, "completion_tokens": 0, "calls": 6, "translated": 3, "cache_hits": 2, "seconds": 1.5,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == {name: (value, 1.0) for name, value in expected.items()}


def test_an_abstention_is_counted_and_its_language_says_nothing() -> None:
    answers = [evaluate(case(abstained=abstained)) for abstained in (True, False, None)]
    assert [values.get("abstained") for values in answers] == [(1.0, 1.0), (0.0, 1.0), None]
    assert ["correct_language" in values for values in answers] == [False, True, True]


def test_tokens_that_a_server_did_not_report_are_unknown_and_not_zero() -> None:
    unreported = evaluate(case(counts={"answer.calls": 1, "tag.calls": 2, "tag.prompt_tokens": 9}))
    assert not unreported.keys() & {"prompt_tokens", "completion_tokens"}
    assert evaluate(case(counts={"answer.cached": 1}))["prompt_tokens"] == (0, 1.0)


def test_work_that_strategies_share_is_charged_to_each() -> None:
    first = AnswerRecord("1", "x", seconds={"retrieve": 4.0, "answer": 1.0}, counts={"retrieve.computed": 1})
    second = AnswerRecord("1", "x", seconds={"retrieve": 0.1, "answer": 2.0}, counts={"retrieve.cached": 1})
    assert cost.charged_seconds([first, second]) == [
        {"retrieve": 4.0, "answer": 1.0}, {"retrieve": 4.0, "answer": 2.0},
    ]  # fmt: skip


def test_the_time_of_results_of_earlier_runs_is_unknown() -> None:
    earlier = AnswerRecord("1", "x", seconds={"translate": 0.1}, counts={"translate.cached": 5})
    (charged,) = cost.charged_seconds([earlier])
    assert charged == {"translate": None}
    question = Question("1", "?", Lang("ko"), ("x",))
    values = evaluate(AnswerCase(question, earlier, QuestionSet("jsonl", [question]), stage_seconds=charged))
    assert "seconds" not in values


@shared_data.needs(shared_data.XOR_TYDI)
def test_every_korean_answer_is_recalled_inside_a_sentence_and_spaced_out() -> None:
    questions = load(
        "xor", parse({"kind": "xor_tydi", "file": str(shared_data.XOR_TYDI), "langs": ["ko"]}), "ko"
    ).questions
    for question in questions:
        assert score(f"정답은 {question.answers[0]}입니다.", question.answers).char3 == 1.0
        assert score(" ".join(question.answers[0]), question.answers).char3 == 1.0
    harness = [bergen.score(f"정답은 {q.answers[0]}입니다.", q.answers).char3 for q in questions]
    assert statistics.fmean(harness) < 0.85
