"""Questions about pretranslated collections against the same questions without: calls, seconds, and equal answers.

`make demo` must have run; everything is in a new cache each. `python -m benchmarks.pretranslation --questions 100`
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qttrag.application.application import Application
from qttrag.application.pretranslation import pretranslate
from qttrag.config import deployment
from qttrag.indexes.collection import open_index
from qttrag.types import Answer, AskRequest, Lang

QUESTIONS = Path("demo/data/mkqa-test.jsonl.gz")
_CALLS = ("translate.computed", "tag.computed", "translate.cached", "tag.cached")


class Asked(NamedTuple):
    answers: list[Answer]
    seconds: float
    counts: Counter[str]


def questions(n: int, targets: Sequence[str]) -> list[AskRequest]:
    """Return `n` questions of the demo, in turn in each of the languages, about different territories."""
    with gzip.open(QUESTIONS, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    step = max(1, len(records) // n)
    return [
        AskRequest(records[number * step % len(records)]["queries"][lang], lang=lang)
        for number in range(n)
        for lang in [targets[number % len(targets)]]
    ]


def opened(config: str, cache: Path) -> Application:
    return Application.open(deployment.load(config, {"cache": {"path": str(cache)}}))


async def translate_all(
    config: str, cache: Path, names: Sequence[str], targets: Sequence[str]
) -> tuple[float, Counter[str]]:
    """Translate and score the collections; return the seconds, models loaded before, and the counts."""
    counts: Counter[str] = Counter()
    async with opened(config, cache) as application:
        await application.start()
        langs = [Lang(to) for to in targets]
        started = time.perf_counter()
        for name in names:
            for done in await pretranslate(application, open_index(name), langs, tag=True):
                counts.update(done.counts)
        return time.perf_counter() - started, counts


async def ask(config: str, cache: Path, requests: Sequence[AskRequest]) -> Asked:
    async with opened(config, cache) as application:
        await application.start()
        started = time.perf_counter()
        answers = [await application.ask(request) for request in requests]
        counts: Counter[str] = sum((answer.trace.counts for answer in answers), Counter())
        return Asked(answers, time.perf_counter() - started, counts)


def row(name: str, asked: Asked) -> str:
    stages = [sum(answer.trace.seconds.get(stage, 0.0) for answer in asked.answers) for stage in ("translate", "tag")]
    numbers = [f"{asked.counts[name]:>10,}" for name in _CALLS]
    return f"{name:<16}{''.join(numbers)}{asked.seconds:>10.1f}{stages[0]:>12.1f}{stages[1]:>8.1f}"


def same(one: Answer, other: Answer) -> dict[str, bool]:
    """Return what two answers have in common: the text, the translations and the scores of the passages read."""

    def parts(answer: Answer, name: str) -> list[Any]:
        return [getattr(passage, name) for passage in answer.context]

    return {
        "answers": one.text == other.text,
        "translations": parts(one, "translation") == parts(other, "translation"),
        "scores": parts(one, "scores") == parts(other, "scores"),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--to", default="ko,fi,zh", help="the languages of the questions")
    parser.add_argument("--config", default="demo")
    parser.add_argument("--collections", default="demo-en,demo-ko,demo-fi,demo-zh")
    chosen = parser.parse_args()
    targets = chosen.to.split(",")
    requests = questions(chosen.questions, targets)
    with tempfile.TemporaryDirectory() as folder:
        prepared, empty = Path(folder, "prepared.sqlite"), Path(folder, "empty.sqlite")
        seconds, counts = await translate_all(chosen.config, prepared, chosen.collections.split(","), targets)
        translated, scored = counts["translate.computed"], counts["tag.scored"]
        print(f"pretranslated: {translated:,} translations, {scored:,} scores, {seconds:.0f} s", flush=True)
        print(f"cache: {prepared.stat().st_size / 1e6:.1f} MB")
        with_job, without = [await ask(chosen.config, cache, requests) for cache in (prepared, empty)]
    print(f"{len(requests)} questions, one after another")
    columns = ("translated", "scored", "cached", "cached")
    print(f"{'':<16}{''.join(f'{name:>10}' for name in columns)}{'seconds':>10}{'translate':>12}{'tag':>8}")
    print(row("pretranslated", with_job), row("without", without), sep="\n")
    equal = Counter[str]()
    for one, other in zip(with_job.answers, without.answers, strict=True):
        equal.update(name for name, is_same in same(one, other).items() if is_same)
    print("equal: " + ", ".join(f"{name} {equal[name]}" for name in ("answers", "translations", "scores")))


if __name__ == "__main__":
    asyncio.run(main())
