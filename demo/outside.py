"""Questions that the corpus does not answer: other subjects, and facts that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from demo.corpus import RELATIONS, SECTIONS, Question, question_text, stated
from demo.facts import LANGS, Sheet

OTHER_SUBJECTS: Mapping[str, Sequence[str]] = {
    "en": (
        "hello",
        "What is the capital of Finland?",
        "Who won the football World Cup in 2018?",
        "How do I bake bread?",
        "Who wrote Hamlet?",
    ),
    "ko": (
        "안녕하세요",
        "핀란드의 수도는 어디입니까?",
        "2018년 월드컵에서 우승한 나라는 어디입니까?",
        "빵은 어떻게 굽나요?",
        "햄릿은 누가 썼습니까?",
    ),
    "fi": (
        "hei",
        "Mikä on Suomen pääkaupunki?",
        "Kuka voitti jalkapallon maailmanmestaruuden vuonna 2018?",
        "Miten leivotaan leipää?",
        "Kuka kirjoitti Hamletin?",
    ),
    "zh": (
        "你好",
        "芬兰的首都是哪里？",
        "2018年世界杯足球赛的冠军是哪个国家？",
        "怎样烤面包？",
        "《哈姆雷特》是谁写的？",
    ),
}


def missing_facts(sheet: Sheet) -> Iterator[Question]:
    """Yield questions about the facts that CLDR lacks of a territory, without answers and gold passages."""
    absent = [relation for relation in RELATIONS if relation not in sheet.facts]
    said = {field for section in SECTIONS for field in stated(section, sheet.facts)}
    for relation, lang in product(absent, LANGS):
        if f"{relation}s" not in said:  # several official languages
            text = question_text(relation, 0, lang, sheet.name)
            yield Question(f"{sheet.code}-{relation}-{lang}", text, lang, [], sheet, relation, [])
