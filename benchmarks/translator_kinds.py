"""The six strategies with each translator kind that the demo's models allow, on the demo's own questions (`make demo`).

python -m benchmarks.translator_kinds --questions 10    so many questions in each of Korean, Finnish and Chinese

`served` is a service in this process with the demo's translator. `route` has one kind for passages in English and
another for the rest. `llm` is the demo's language model, which never learnt to translate: its row shows what the
strategies do with a bad translator. Nothing is cached.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.corpus import Question, questions
from demo.train import MODELS
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.evaluation.metrics.bergen import score
from qttrag.types import Answer, AskRequest
from tests.server.running import running

STRATEGIES = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")
LANGS = ("ko", "fi", "zh")
MODEL = str(MODELS / "translator")


def opened(translator: Mapping[str, Any]) -> Application:
    flags = {"translator": dict(translator), "cache": {"enabled": False}}
    return Application.open(config.load("demo", flags))


@contextmanager
def translators() -> Iterator[dict[str, dict[str, Any]]]:
    """Yield the settings of each kind, while a service for `served` runs."""
    nllb = {"kind": "nllb", "model": MODEL}
    transformers = {"kind": "nllb_transformers", "model": MODEL}
    routes = [{"source": ["en"], "translator": nllb}]
    with running(opened(nllb)) as service:
        yield {
            "nllb": nllb,
            "nllb_transformers": transformers,
            "served": {"kind": "served", "model": "demo", "base_url": f"{service.url}/v1"},
            "route": {"kind": "route", "routes": routes, "default": transformers},
            "llm": {"kind": "llm", "max_tokens": 96},
        }


async def answers(application: Application, strategy: str, asked: Sequence[Question]) -> list[Answer]:
    requests = (AskRequest(each.text, lang=each.lang, strategy=strategy) for each in asked)
    return list(await asyncio.gather(*map(application.ask, requests)))


def counted(given: Sequence[Answer]) -> Counter[str]:
    """Return how many passages were translated, flagged and unscored, and how many answers were degraded."""
    passages = [passage for answer in given for passage in answer.context]
    return Counter(
        translated=sum(passage.translation is not None for passage in passages),
        flagged=sum(bool(passage.flags) for passage in passages),
        unscored=sum(passage.unscored is not None for passage in passages),
        degraded=sum(bool(answer.degraded) for answer in given),
    )


async def row(kind: str, settings: Mapping[str, Any], asked: Sequence[Question]) -> list[str]:
    counts: Counter[str] = Counter()
    cells = []
    async with opened(settings) as application:
        for strategy in STRATEGIES:
            given = await answers(application, strategy, asked)
            pairs = zip(given, asked, strict=True)
            cells.append(f"{100 * statistics.fmean(score(a.text, q.answers).char3 for a, q in pairs):.1f}")
            counts += counted(given)
    return [kind, *cells, *(str(counts[name]) for name in ("translated", "flagged", "unscored", "degraded"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10, help="in each language")
    arguments = parser.parse_args()
    choose = random.Random(1)
    test = list(questions("test"))
    asked = [q for lang in LANGS for q in choose.sample([q for q in test if q.lang == lang], arguments.questions)]
    made = Table(
        "translator", *STRATEGIES, "translated", "flagged", "unscored", "degraded",
        title=f"char3 % of {len(asked)} questions; passages translated, flagged, unscored; answers degraded",
    )  # fmt: skip
    with translators() as kinds:
        for kind, settings in kinds.items():
            made.add_row(*asyncio.run(row(kind, settings, asked)))
    Console(width=160).print(made)


if __name__ == "__main__":
    main()
