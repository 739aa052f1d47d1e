"""Questions that the corpus does not answer: other subjects, and facts that it lacks.

`OTHER_SUBJECTS` are for measuring; for training there are templates/other_subjects.yaml and words of no language."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product

import yaml

from demo.corpus import HERE, RELATIONS, SECTIONS, Question, question_text, stated
from demo.facts import LANGS, Sheet
from demo.invented import pick

OTHER_SUBJECTS: Mapping[str, Sequence[str]] = {
    "en": (
        "hello",
        "What is the capital of Finland?",
        "Who won the football World Cup in 2018?",
        "How do I bake bread?",
        "Who wrote Hamlet?",
        "See you tomorrow!",
        "What is the square root of 144?",
        "Which planet is the largest?",
        "How much does a train ticket to Berlin cost?",
        "Who directed the film Titanic?",
    ),
    "ko": (
        "안녕하세요",
        "핀란드의 수도는 어디입니까?",
        "2018년 월드컵에서 우승한 나라는 어디입니까?",
        "빵은 어떻게 굽나요?",
        "햄릿은 누가 썼습니까?",
        "내일 또 만나요!",
        "144의 제곱근은 얼마입니까?",
        "가장 큰 행성은 무엇입니까?",
        "베를린까지 기차표는 얼마예요?",
        "영화 타이타닉의 감독은 누구입니까?",
    ),
    "fi": (
        "hei",
        "Mikä on Suomen pääkaupunki?",
        "Kuka voitti jalkapallon maailmanmestaruuden vuonna 2018?",
        "Miten leivotaan leipää?",
        "Kuka kirjoitti Hamletin?",
        "Huomiseen!",
        "Mikä on luvun 144 neliöjuuri?",
        "Mikä planeetoista on suurin?",
        "Paljonko junalippu Berliiniin maksaa?",
        "Kuka ohjasi elokuvan Titanic?",
    ),
    "zh": (
        "你好",
        "芬兰的首都是哪里？",
        "2018年世界杯足球赛的冠军是哪个国家？",
        "怎样烤面包？",
        "《哈姆雷特》是谁写的？",
        "明天见！",
        "144的平方根是多少？",
        "最大的行星是哪一颗？",
        "去柏林的火车票多少钱？",
        "电影《泰坦尼克号》的导演是谁？",
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


def another_subject(choose: random.Random, lang: str) -> str:
    """Return a question for training: a sentence on another subject, or words of no language."""
    if choose.random() < 0.5:
        line = choose.choice(_lines()[lang])
        return line.format(name=pick(choose, "territory", 0.5)[lang], word=_word(choose, lang))
    words = [_word(choose, lang) for _ in range(choose.randint(1, 5))]
    mark = choose.choice(("？", "！", "") if lang == "zh" else ("?", "!", "."))
    return ("" if lang == "zh" else " ").join(words) + mark


def _word(choose: random.Random, lang: str) -> str:
    kinds = ("territory", "language", "currency", "city")
    word = pick(choose, choose.choice(kinds), 1.0)[lang].split(" ")[-1]
    return word.lower() if choose.random() < 0.5 else word


@cache
def _lines() -> Mapping[str, Sequence[str]]:
    lines: Mapping[str, Sequence[str]] = yaml.safe_load((HERE / "templates" / "other_subjects.yaml").read_text("utf-8"))
    return lines
