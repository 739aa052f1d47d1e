"""Measure the demo's models on territories that none of them was trained on.

python -m demo.report                  every figure, as a table; demo/models/figures.json
python -m demo.report --questions 60   a quick look
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from sacrebleu.metrics.chrf import CHRF
from scipy.stats import rankdata, spearmanr

from demo.corpus import SECTIONS, VARIANTS, Question, article, questions, section_text, stated, statement
from demo.facts import LANGS, Sheet, sheets
from demo.invented import Territory
from demo.outside import OTHER_SUBJECTS, missing_facts
from demo.tasks import DAMAGES, damage
from demo.train import MODELS
from qttrag.application.application import Application
from qttrag.evaluation.metrics.bergen import score
from qttrag.pipeline.stages import Stages
from qttrag.types import AskRequest, Lang, Passage, Query, TaggedPassage

DEPLOYMENT = "demo"
STRATEGY_NAMES = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")
_RESAMPLES = 1000
_ABSENT = 120  # questions about facts that no passage has
_AIMS = {"recall@5 ": 0.95, "spearman": 0.7, "readable": 1.0, "char3 given gold": 0.85, "EM given gold": 0.85}


class Figure(NamedTuple):
    """A mean with its 95 % interval over `n` questions, by bootstrap; no interval without a mean."""

    what: str
    lang: str
    value: float
    low: float
    high: float
    n: int


def figure(what: str, lang: str, values: Sequence[float]) -> Figure:
    draw = random.Random(f"{what} {lang}")
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return Figure(what, lang, statistics.fmean(values), means[_RESAMPLES // 40], means[-_RESAMPLES // 40], len(values))


async def retrieval(stages: Stages, asked: Sequence[Question]) -> list[Figure]:
    """Return recall of the gold passage, before and after reranking.

    "mono": the question's language has the article; "cross": only English has it."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    queries = [Query(q.text, Lang(q.lang), q.question_id) for q in asked]
    hits = await asyncio.gather(*(stages.retriever.retrieve(query, 50) for query in queries))
    ranked = await asyncio.gather(
        *(stages.reranker.rerank(query, some) for query, some in zip(queries, hits, strict=True))
    )
    for question, before, after in zip(asked, hits, ranked, strict=True):
        where = "mono" if question.lang in question.sheet.covered else "cross"
        for name, some, k in (("recall@5", before, 5), ("recall@50", before, 50), ("recall@5 reranked", after, 5)):
            ids = [re.sub(r"#\d+$", "", hit.passage.passage_id) for hit in some[:k]]
            found[f"{name} {where}", question.lang].append(float(any(g in ids for g in question.gold)))
    return [figure(what, lang, values) for (what, lang), values in sorted(found.items())]


async def translation(stages: Stages, tested: Sequence[Sheet]) -> list[Figure]:
    """Return chrF, and the shares of sentences with the exact name of the territory and with the exact fact."""
    made = []
    chrf = CHRF()
    for source, target in [("en", lang) for lang in LANGS[1:]] + [(lang, "en") for lang in LANGS[1:]]:
        pairs = [
            (statement(field, 0, source, s.name, s.facts), statement(field, 0, target, s.name, s.facts), s, field)
            for s in tested
            for section in SECTIONS
            for field in stated(section, s.facts)
        ]
        assert stages.translator is not None
        outputs = await stages.translator.translate([p[0] for p in pairs], [Lang(source)] * len(pairs), Lang(target))
        said = [output.text for output in outputs]
        direction = f"{source}-{target}"
        total = chrf.corpus_score(said, [[p[1] for p in pairs]]).score
        made.append(Figure("chrF", direction, total / 100, total / 100, total / 100, len(pairs)))
        named = [(text, p) for text, p in zip(said, pairs, strict=True) if p[2].name[target] in p[1]]
        made.append(figure("exact name", direction, [float(p[2].name[target] in text) for text, p in named]))
        facts = [(text, p[2].facts[p[3]][target]) for text, p in zip(said, pairs, strict=True)]
        made.append(figure("exact fact", direction, [float(fact.lower() in text.lower()) for text, fact in facts]))
    return made


async def tagging(stages: Stages, tested: Sequence[Sheet]) -> list[Figure]:
    """Return Spearman's correlation of each score with the damage done, and the share of readable verdicts."""
    made = []
    assert stages.tagger is not None
    for lang in LANGS:
        choose = random.Random(f"tagging {lang}")
        originals, translations, sources, wanted = [], [], [], []
        for sheet in tested:
            owner = Territory(sheet.name, sheet.facts)
            section = choose.choice([s for s in SECTIONS if stated(s, sheet.facts)])
            source = choose.choice([other for other in LANGS if other != lang]) if lang == "en" else "en"
            variants = [choose.randrange(VARIANTS) for _ in SECTIONS[section]]
            text = section_text(section, variants, source, sheet.name, sheet.facts)
            for count in (0, 1, 2):
                spoiled = damage(choose, owner, section, variants, source, lang, choose.sample(DAMAGES, count))
                originals.append(Passage("", text, Lang(source), title=sheet.name[source]).content)
                translations.append(spoiled.text)
                sources.append(Lang(source))
                wanted.append(spoiled.scores)
        verdicts = await stages.tagger.score(originals, translations, sources, Lang(lang))
        made.append(figure("readable", lang, [float(v.scores is not None) for v in verdicts]))
        read = [(v.scores, w) for v, w in zip(verdicts, wanted, strict=True) if v.scores is not None]
        for name in ("semantic", "grammar", "fluency"):
            rho = spearmanr([getattr(s, name) for s, _ in read], [getattr(w, name) for _, w in read]).statistic
            made.append(Figure(f"spearman {name}", lang, float(rho), float(rho), float(rho), len(read)))
        rho = spearmanr([sum(s.values()) for s, _ in read], [sum(w.values()) for _, w in read]).statistic
        made.append(Figure("spearman of the sum", lang, float(rho), float(rho), float(rho), len(read)))
    return made


async def reading(stages: Stages, asked: Sequence[Question], others: int) -> list[Figure]:
    """Return EM and character 3-gram recall with the gold passage, in the question's language, and `others`."""
    tasks = []
    for question in asked:
        choose = random.Random(question.question_id)
        gold = [p for p in article(question.sheet, question.lang) if p.passage_id.split("-", 2)[2] in question.gold[0]]
        more = [p for sheet in choose.sample(sheets(), 3) for p in article(sheet, question.lang)]
        more += [p for p in article(question.sheet, question.lang) if p not in gold]
        shown = [gold[0], *choose.sample(more, others)]
        choose.shuffle(shown)
        passages = [TaggedPassage(Passage(p.passage_id, p.text, Lang(p.lang), title=p.title)) for p in shown]
        tasks.append(stages.answer(Query(question.text, Lang(question.lang), ""), passages, style="tagged"))
    answers = await asyncio.gather(*tasks)
    how = f"gold among {others + 1}" if others else "given gold"
    return _answered(how, asked, [answer.text for answer in answers])


async def tagging_translations(stages: Stages, tested: Sequence[Sheet]) -> list[Figure]:
    """Return how the tagger's scores judge real translations of the passages: Spearman's correlation of their sum with
    chrF, and the area under the ROC curve of telling titles with the exact name of the territory from others."""
    made, chrf = [], CHRF()
    assert stages.translator is not None
    assert stages.tagger is not None
    for lang in LANGS[1:]:
        originals, references, names = [], [], []
        for sheet in tested:
            for section in (s for s in SECTIONS if stated(s, sheet.facts)):
                texts = [section_text(section, [0] * 4, each, sheet.name, sheet.facts) for each in ("en", lang)]
                originals.append(Passage("", texts[0], Lang("en"), title=sheet.name["en"]).content)
                references.append(Passage("", texts[1], Lang(lang), title=sheet.name[lang]).content)
                names.append(sheet.name[lang])
        sources = [Lang("en")] * len(originals)
        outputs = [o.text for o in await stages.translator.translate(originals, sources, Lang(lang))]
        verdicts = await stages.tagger.score(originals, outputs, sources, Lang(lang))
        scored = [
            (sum(v.scores.values()), output, reference, name)
            for v, output, reference, name in zip(verdicts, outputs, references, names, strict=True)
            if v.scores is not None
        ]
        sums = [total for total, *_ in scored]
        rho = float(spearmanr(sums, [chrf.sentence_score(o, [r]).score for _, o, r, _ in scored]).statistic)
        made.append(Figure("scores of real translations against chrF", lang, rho, rho, rho, len(scored)))
        area = _area(sums, [output.startswith(f"{name}.") for _, output, _, name in scored])
        made.append(Figure("AUC of the scores, exact name against inexact", lang, area, area, area, len(scored)))
    return made


def _area(values: Sequence[float], positive: Sequence[bool]) -> float:
    """Return the area under the ROC curve: the share of pairs, of a positive and another, in the right order."""
    count = sum(positive)
    ranks = sum(rank for rank, is_positive in zip(rankdata(values), positive, strict=True) if is_positive)
    pairs = count * (len(positive) - count)
    return float((ranks - count * (count + 1) / 2) / pairs) if pairs else float("nan")


def _answered(how: str, asked: Sequence[Question], texts: Iterable[str]) -> list[Figure]:
    measured: dict[tuple[str, str], list[float]] = defaultdict(list)
    for question, text in zip(asked, texts, strict=True):
        scores = score(text, question.answers)
        for lang in (question.lang, "all"):
            measured[f"char3 {how}", lang].append(scores.char3)
            measured[f"EM {how}", lang].append(scores.em)
    return [figure(what, lang, values) for (what, lang), values in measured.items()]


async def answering(application: Application, asked: Sequence[Question]) -> list[Figure]:
    """Return EM and character 3-gram recall end to end, for every strategy."""
    made: list[Figure] = []
    limit = asyncio.Semaphore(16)

    async def ask(question: Question, strategy: str, options: Mapping[str, Any] = MappingProxyType({})) -> str:
        request = AskRequest(question.text, lang=question.lang, strategy=strategy, options=options)
        async with limit:
            return (await application.ask(request)).text

    for strategy in STRATEGY_NAMES:
        texts = await asyncio.gather(*(ask(question, strategy) for question in asked))
        made += _answered(strategy, asked, texts)
    texts = await asyncio.gather(*(ask(question, "qtt_rag", {"tags": "shuffled"}) for question in asked))
    made += _answered("qtt_rag, scores shuffled", asked, texts)
    return made


async def abstaining(application: Application, tested: Sequence[Sheet]) -> list[Figure]:
    """Return the shares of answers that say so, to questions on other subjects and about facts that no passage has."""
    made = []
    absent = [question for sheet in tested for question in missing_facts(sheet)]
    absent = random.Random(0).sample(absent, min(_ABSENT, len(absent)))
    for lang in LANGS:
        for what, texts in (
            ("abstains: another subject", OTHER_SUBJECTS[lang]),
            ("abstains: a fact that no passage has", [q.text for q in absent if q.lang == lang]),
        ):
            answers = await asyncio.gather(*(application.ask(AskRequest(text, lang=lang)) for text in texts))
            made.append(figure(what, lang, [float(answer.abstained) for answer in answers]))
            for text, answer in zip(texts, answers, strict=True):
                if text in OTHER_SUBJECTS[lang]:
                    Console(stderr=True).print(f"{text} -> {answer.text}", markup=False)
    return made


async def measure(count: int) -> list[Figure]:
    everything = list(questions("test"))
    tested = [sheet for sheet in sheets() if sheet.split == "test"]
    asked = random.Random(0).sample(everything, min(count, len(everything)))
    async with Application.open(DEPLOYMENT) as application:
        stages = replace(application.stages)
        console = Console(stderr=True)
        made: list[Figure] = []
        for part in (
            retrieval(stages, everything if count >= len(everything) else asked),
            translation(stages, tested),
            tagging(stages, tested),
            tagging_translations(stages, tested),
            reading(stages, asked, 0),
            reading(stages, asked, 4),
            abstaining(application, tested),
            answering(application, asked),
        ):
            found = await part
            show(found, console)
            made += found
    return made


def show(figures: Sequence[Figure], console: Console) -> None:
    table = Table("what", "language", "value", "95 % interval", "n", "aim")
    for f in figures:
        aim = next((aim for name, aim in _AIMS.items() if f.what.startswith(name)), None)
        met = "" if aim is None else f">= {aim} {'met' if f.value >= aim else 'MISSED'}"
        interval = f"{f.low:.3f} - {f.high:.3f}" if f.low < f.high else ""
        table.add_row(f.what, f.lang, f"{f.value:.3f}", interval, str(f.n), met)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=400, help="test questions to answer with each strategy")
    parser.add_argument("--out", type=Path, default=MODELS / "figures.json")
    given = parser.parse_args()
    figures = asyncio.run(measure(given.questions))
    given.out.write_text(json.dumps([f._asdict() for f in figures], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
