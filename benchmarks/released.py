"""The way of the research release (`benchmarks/one_by_one.py`) against qttrag: `python -m benchmarks.released`.

Both run in one process on the same weights, in turn: the demo's models for whether the results are equal, and for
questions end to end; random weights in the shape of NLLB-200 600M for what a translation costs. It needs the demo's
collections (`make demo`)."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
import typer

from benchmarks import gpu
from benchmarks.home import home
from benchmarks.one_by_one import MODELS, ExactScan, released
from demo.corpus import questions
from qttrag.application.application import Application
from qttrag.cli.output import console, table
from qttrag.config import deployment as config
from qttrag.protocols import Translator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.trace import Trace
from qttrag.translators.nllb import NllbTransformersTranslator, NllbTranslator
from qttrag.types import AskRequest, Lang, Query, Verdict
from tests.texts import paragraph

STRATEGIES = ("base", "cross_rag", "qtt_rag", "hard_filter", "query_translation", "dkm_rag")  # the slowest last
_FOUND = {"qtt_rag": "translated", "hard_filter": "translated and scored", "dkm_rag": "translated"}  # in the cache
_IN_FLIGHT = 64  # questions
_WARM_UP = AskRequest("When was the bridge opened?", strategy="qtt_rag")  # loads the models, opens the collections
_UNCACHED = {"cache": {"enabled": False}}


class Part(StrEnum):
    """What is compared."""

    TRANSLATION = "translation"
    REAL_SHAPE = "real-shape"
    VERDICTS = "verdicts"
    SEARCH = "search"
    QUESTIONS = "questions"


class Pair(NamedTuple):
    """A passage to translate, its language, and the language of the question."""

    text: str
    lang: Lang
    target: Lang


class Row(NamedTuple):
    """Median seconds of both ways, and the median of their ratio."""

    what: str
    released: float
    ours: float
    ratio: float
    remark: str = ""


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def compare(
    what: str,
    one: Callable[[], Awaitable[object]],
    other: Callable[[], Awaitable[object]],
    rounds: int,
    remark: str = "",
) -> Row:
    runs = [(await seconds(one), await seconds(other)) for _ in range(rounds)]
    medians = [statistics.median(times) for times in zip(*runs, strict=True)]
    return Row(what, medians[0], medians[1], statistics.median(a / b for a, b in runs), remark)


async def at_once(pairs: Sequence[Pair], translator: Translator) -> list[str]:
    """Return the translations, with one call per target language, all calls in flight."""
    targets = sorted({pair.target for pair in pairs})
    groups = [[pair for pair in pairs if pair.target == target] for target in targets]
    translated = await gather_or_cancel(
        translator.translate([p.text for p in group], [p.lang for p in group], group[0].target) for group in groups
    )
    results = {
        pair: translation.text
        for group, of_group in zip(groups, translated, strict=True)
        for pair, translation in zip(group, of_group, strict=True)
    }
    return [results[pair] for pair in pairs]


async def one_by_one(pairs: Sequence[Pair], translator: Translator) -> list[str]:
    return [(await translator.translate([p.text], [p.lang], p.target))[0].text for p in pairs]


async def foreign_passages(application: Application, limit: int) -> list[Pair]:
    """Return passages among the best of test questions in another language than the question, without duplicates."""
    found: dict[Pair, None] = {}
    for question in questions("test"):
        lang = await application.language_of(question.text)
        for read in await application.stages_for(Trace()).search(Query(question.text, lang)):
            if read.passage.lang != lang:
                found[Pair(read.passage.content, read.passage.lang, lang)] = None
        if len(found) >= limit:
            break
    return list(found)[:limit]


async def translation(pairs: Sequence[Pair], rounds: int) -> list[Row]:
    """Compare translations by the demo's model; stop if those in float32 differ."""
    model = str(MODELS / "translator")
    theirs = NllbTransformersTranslator(model, beam_size=1, unit="passage")
    equal = NllbTranslator(model, beam_size=1, unit="passage", compute_type="float32")
    greedy, deployed = NllbTranslator(model, beam_size=1), NllbTranslator(model)
    one, same = await one_by_one(pairs, theirs), await at_once(pairs, equal)
    await gather_or_cancel(translator.start() for translator in (greedy, deployed))
    different = [a for a, b in zip(one, same, strict=True) if a != b]
    if different:
        raise SystemExit(f"{len(different)} of {len(pairs)} translations in float32 differ, the first: {different[0]}")
    kinds = [
        ("float32, greedy, whole passages", equal, f"all {len(pairs)} are equal"),
        ("int8, greedy, sentences", greedy, "as in server/laptop.yaml"),
        ("int8, beam 4, sentences", deployed, "the kind's default; the released way is greedy"),
    ]
    return [
        await compare(
            f"translate, demo: {what}", partial(one_by_one, pairs, theirs), partial(at_once, pairs, ours), rounds, note
        )
        for what, ours, note in kinds
    ]


async def real_shape(n: int, small: bool) -> list[Row]:
    """Compare translations of `n` short passages by random weights of the real shape, once: both write to the limit."""
    remark = f"{n} passages of a sentence, {'a tiny shape' if small else 'shape of NLLB-200 600M'}, once"
    en, ko = Lang("en"), Lang("ko")
    pairs = [Pair(paragraph("en", 1, seed=seed), en, ko) for seed in range(n)]
    rows = []
    with tempfile.TemporaryDirectory() as folder, home(folder):  # for the conversion
        path = str(gpu.make_nllb(Path(folder) / "nllb", gpu.SMALL if small else gpu.REAL))
        theirs = NllbTransformersTranslator(path, beam_size=1, unit="passage")
        await theirs.start()
        alone = await seconds(partial(one_by_one, pairs, theirs))
        del theirs
        for compute_type in ("float32", "int8"):
            ours = NllbTranslator(path, beam_size=1, unit="passage", compute_type=compute_type)
            await ours.start()
            together = await seconds(partial(at_once, pairs, ours))
            what = f"translate, random weights: {compute_type}, greedy, whole passages"
            rows.append(Row(what, alone, together, alone / together, remark))
    return rows


async def verdicts(application: Application, pairs: Sequence[Pair], rounds: int) -> Row:
    """Compare one verdict at a time with all in flight, by the same generator."""
    translator, tagger = application.stages.translator, application.stages.tagger
    assert translator is not None
    assert tagger is not None
    rows = list(zip(pairs, await at_once(pairs, translator), strict=True))

    async def score(row: tuple[Pair, str]) -> list[Verdict]:
        pair, text = row
        return await tagger.score([pair.text], [text], [pair.lang], pair.target)

    async def singly() -> list[list[Verdict]]:
        return [await score(row) for row in rows]

    async def together() -> list[list[Verdict]]:
        return await gather_or_cancel(map(score, rows))

    trace = Trace()
    with trace.stage("tag"):
        equal = sum(a[0].scores == b[0].scores for a, b in zip(await singly(), await together(), strict=True))
    tokens = trace.counts["tag.completion_tokens"] / trace.counts["tag.calls"]
    remark = f"{equal} of {len(rows)} are equal; {tokens:.1f} tokens a verdict"
    return await compare(f"score, demo: {len(rows)} in flight", singly, together, rounds, remark)


async def search(application: Application, n: int, rounds: int) -> Row:
    """Compare the search of questions at once with a scan for each, encoding included."""
    scan, stages = ExactScan(), application.stages
    asked = [question.text for question in islice(questions("test"), n)]
    queries = [Query(text, await application.language_of(text)) for text in asked]

    async def theirs() -> None:
        for query in queries:
            await scan.retrieve(query, stages.depth)

    async def ours() -> None:
        await gather_or_cancel(stages.retriever.retrieve(query, stages.depth) for query in queries)

    await ours()  # opens the collections
    return await compare(f"search, demo: {n} questions", theirs, ours, rounds, f"{len(scan)} passages")


async def end_to_end(asked: Sequence[str], every: int) -> AsyncIterator[Row]:
    """Compare questions end to end, once: each strategy in turn, all of them, and ours with another generator after.

    The released way asks one of so many of them only, drawn at random, and its seconds are multiplied: it asks one
    after another and keeps nothing, so that its time is proportional to the questions."""
    rows: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with released() as theirs, _ours(folder) as ours:
            for application in (theirs, ours):
                await application.ask(_WARM_UP)
            for name in STRATEGIES:
                rows[name] = await _strategy(name, theirs, ours, asked, every)
                yield rows[name]
        alone, together = (
            sum(times) for times in zip(*((row.released, row.ours) for row in rows.values()), strict=True)
        )
        remark = "empty cache at the start" + (f"; released way: one of {every}, multiplied" if every > 1 else "")
        yield Row(f"{len(asked)} questions, demo: six strategies", alone, together, alone / together, remark)
        async with _ours(folder, generator={"thinking": True}) as second:  # another identity, the same work
            await second.ask(_WARM_UP)
            again = await seconds(partial(_all_at_once, second, asked, "qtt_rag", []))
    alone = rows["qtt_rag"].released
    yield Row("  qtt_rag, a second generator", alone, again, alone / again, "ours: translated and scored before")


async def _strategy(name: str, theirs: Application, ours: Application, asked: Sequence[str], every: int) -> Row:
    chosen = sorted(
        Random(0).sample(range(len(asked)), -(-len(asked) // every))
    )  # every so many-th has the same language
    part = [asked[n] for n in chosen]
    answers: list[str] = []
    start = time.process_time()
    alone = await seconds(partial(_one_after_another, theirs, part, name, answers)) * len(asked) / len(part)
    between = time.process_time()
    texts: list[str] = []
    together = await seconds(partial(_all_at_once, ours, asked, name, texts))
    processor = (between - start) * len(asked) / len(part), time.process_time() - between
    equal = sum(a == texts[n] for n, a in zip(chosen, answers, strict=True))
    before = f"; ours: {_FOUND[name]} before" if name in _FOUND else ""
    used = f"processor seconds {processor[0]:.0f} and {processor[1]:.0f}"
    remark = f"{equal} of {len(part)} answers are equal; {used}{before}"
    return Row(f"  {name}", alone, together, alone / together, remark)


async def _one_after_another(application: Application, asked: Sequence[str], strategy: str, into: list[str]) -> None:
    for text in asked:
        into.append((await application.ask(AskRequest(text, strategy=strategy))).text)
        if len(into) % 50 == 0:
            typer.echo(f"released way, {strategy}: {len(into)} of {len(asked)} questions", err=True)


def _ours(folder: str, **settings: Any) -> Application:
    """Open the demo's deployment with its cache in `folder`; the tagger keeps its model whatever the generator is."""
    tagger = {"generator": {"kind": "transformers", "model": str(MODELS / "language-model")}}
    cache = {"path": str(Path(folder) / "cache.sqlite")}
    return Application.open(config.load("demo", {"cache": cache, "tagger": tagger, **settings}))


async def _all_at_once(application: Application, asked: Sequence[str], strategy: str, into: list[str]) -> None:
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def ask(question: str) -> str:
        async with slots:
            return (await application.ask(AskRequest(question, strategy=strategy))).text

    into.extend(await gather_or_cancel(map(ask, asked)))


async def measure(
    parts: Sequence[Part], n: int, texts: int, rounds: int, small: bool, every: int = 1
) -> AsyncIterator[Row]:
    async with Application.open(config.load("demo", _UNCACHED)) as application:
        await application.start()
        pairs = await foreign_passages(application, texts)
        if Part.TRANSLATION in parts:
            for row in await translation(pairs, rounds):
                yield row
        if Part.VERDICTS in parts:
            yield await verdicts(application, pairs, rounds)
        if Part.SEARCH in parts:
            yield await search(application, n, rounds)
    if Part.REAL_SHAPE in parts:
        for row in await real_shape(4, small):
            yield row
    if Part.QUESTIONS in parts:
        async for row in end_to_end([question.text for question in islice(questions("test"), n)], every):
            yield row


def report(other: str, rows: AsyncIterator[Row]) -> None:
    """Measure, and print the seconds of `other` and of qttrag, with the load of the machine."""
    before = os.getloadavg()[0]
    cells = asyncio.run(_shown(rows))
    console().print(table("work", f"{other}, s", "qttrag, s", "times faster", "remark", rows=cells))
    loads = f"load of the machine before: {before:.1f}, after: {os.getloadavg()[0]:.1f}"
    console().print(f"{torch.get_num_threads()} threads; {loads}")


async def _shown(rows: AsyncIterator[Row]) -> list[list[str]]:
    """Return the cells of the table; each row is also printed to stderr as soon as it is measured."""
    cells = []
    async for row in rows:
        cells.append([row.what, f"{row.released:.2f}", f"{row.ours:.2f}", f"{row.ratio:.1f}", row.remark])
        typer.echo(" | ".join(cells[-1]), err=True)
    return cells


def main(
    parts: list[Part] = typer.Argument(None, help="Which comparisons; all without one."),  # noqa: B008
    n: int = typer.Option(48, "--questions", min=1, help="Questions end to end, and to search."),
    texts: int = typer.Option(64, min=1, help="Passages to translate and to score."),
    rounds: int = typer.Option(3, min=1, help="Runs of both ways in turn; those that say `once` are run once."),
    every: int = typer.Option(
        1, min=1, help="The released way asks one of so many questions, drawn at random; seconds are multiplied."
    ),
    small: bool = typer.Option(False, "--small", help="A tiny shape in place of 600 M, to test this script."),
) -> None:
    """Run both ways and print the seconds of each, and how many times faster ours is."""
    report("released way", measure(parts or list(Part), n, texts, rounds, small, every))


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
