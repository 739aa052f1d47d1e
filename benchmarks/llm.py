"""Scoring and answering with a real vLLM (CPU build) and tiny models: `python -m benchmarks.llm --help`.

QTTRAG_VLLM names an environment with vLLM; `make test-vllm` creates one."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import typer

from benchmarks.suites import prepared
from qttrag.application.application import Application
from qttrag.cli.output import console, table
from qttrag.errors import StageError
from qttrag.generators.openai import OpenAIGenerator
from qttrag.prompts import Prompts, TagPrompt
from qttrag.protocols import Generator
from qttrag.taggers.verdicts import KEYS, SCHEMA, parse
from qttrag.trace import Trace
from qttrag.types import Answer, AskRequest, Decoding, Lang, Message
from tests import deployment
from tests.openai_client.test_balancing import free_port
from tests.texts import sentences
from tests.vllm import serving

T = TypeVar("T")
R = TypeVar("R")
app = typer.Typer(pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
_IN_FLIGHT = 64
_LANGS = ("ko", "fi", "zh")


@dataclass(frozen=True)
class RunningModel:
    """A folder with tiny models, and the settings of the one that vLLM serves."""

    folder: Path
    spec: dict[str, object]
    bin_folder: Path

    def generator(self, **settings: Any) -> OpenAIGenerator:
        return OpenAIGenerator(**{**{k: v for k, v in self.spec.items() if k != "kind"}, **settings})

    def metric(self, name: str) -> float:
        root = str(self.spec["base_url"]).removesuffix("/v1")
        with urllib.request.urlopen(f"{root}/metrics", timeout=30) as reply:
            lines = reply.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


@contextmanager
def served() -> Iterator[RunningModel]:
    bin_folder = Path(os.environ["QTTRAG_VLLM"]).resolve() / "bin"
    with prepared(passages=400) as folder:
        spec = serving.spec_of(folder / "llama", free_port())
        start = time.perf_counter()
        serving.start(spec, folder, bin_folder)
        console().print(f"vLLM ready after {time.perf_counter() - start:.0f} s")
        try:
            yield RunningModel(folder, spec, bin_folder)
        finally:
            serving.stop(folder)


async def concurrently(work: Callable[[T], Awaitable[R]], items: Sequence[T], in_flight: int) -> list[R]:
    """Return the results in order, computed `in_flight` at a time."""
    places = asyncio.Semaphore(in_flight)

    async def one(item: T) -> R:
        async with places:
            return await work(item)

    return await asyncio.gather(*(one(item) for item in items))


@dataclass(frozen=True)
class _Variant:
    """One form of the scoring call: a schema and the prompts that name its keys."""

    name: str
    schema: dict[str, object]
    messages: list[list[Message]]
    prompt: TagPrompt


def _variants(lang: str, n: int) -> list[_Variant]:
    """Return the prompts for `n` translations with ASCII keys, and with the criteria's own names as in the paper."""
    prompt = Prompts().tag(Lang(lang))
    pairs = zip(sentences("en", n, seed=7), sentences(lang, n, seed=11), strict=True)  # pairs rarely repeat
    ascii_keys = [prompt.messages(original, translation, Lang("en")) for original, translation in pairs]

    def localised(message: Message) -> Message:
        content = message["content"]
        for key, name in prompt.names.items():
            content = content.replace(f" ({key})", "").replace(f'"{key}"', f'"{name}"')
        return {"role": message["role"], "content": content}

    names = list(prompt.names.values())
    own = {**SCHEMA, "required": names, "properties": {name: SCHEMA["properties"][key] for key, name in  # type: ignore[index]
                                                      zip(KEYS, names, strict=True)}}  # fmt: skip
    return [
        _Variant("ASCII", dict(SCHEMA), ascii_keys, prompt),
        _Variant("own-language", own, [list(map(localised, messages)) for messages in ascii_keys], prompt),
    ]


async def _score(generator: Generator, variant: _Variant, in_flight: int) -> tuple[float, float, float]:
    """Return the share of readable verdicts, tokens per verdict and verdicts per second."""
    trace = Trace()
    decoding = Decoding(max_tokens=128, schema=variant.schema)

    async def one(messages: list[Message]) -> bool:
        with trace.counting("tag"):
            completion = await generator.complete(messages, decoding)
        return not completion.cut and parse(completion.text, variant.prompt.names).scores is not None

    start = time.perf_counter()
    is_readable = await concurrently(one, variant.messages, in_flight)
    seconds = time.perf_counter() - start
    n = len(is_readable)
    return statistics.mean(is_readable), trace.counts["tag.completion_tokens"] / n, n / seconds


@app.command()
def verdicts(
    n: int = typer.Option(2000, help="Scoring calls with the schema."),
    few: int = typer.Option(200, help="Calls one at a time, and calls with the language's own keys."),
    rounds: int = typer.Option(3, help="Repetitions of one at a time and 64 in flight, alternately."),
) -> None:
    """Measure the share of readable verdicts, tokens per verdict, and verdicts per second."""
    with served() as server:
        asyncio.run(_measure_verdicts(server, n, few, rounds))


async def _measure_verdicts(server: RunningModel, n: int, few: int, rounds: int) -> None:
    generator = server.generator()
    for lang in _LANGS:
        for variant in _variants(lang, -(-n // len(_LANGS))):
            messages = variant.messages if variant.name == "ASCII" else variant.messages[:few]
            share, tokens, speed = await _score(generator, replace(variant, messages=messages), _IN_FLIGHT)
            rates = f"{tokens:.1f} tokens each, {speed:.1f} per second with {_IN_FLIGHT} in flight"
            console().print(f"{lang}, {variant.name} keys: {len(messages)} calls, {share:.1%} readable, {rates}")
    variants = [_variants("ko", few)[0]] * rounds
    speeds = [((await _score(generator, v, 1))[2], (await _score(generator, v, _IN_FLIGHT))[2]) for v in variants]
    one, many = (statistics.median(column) for column in zip(*speeds, strict=True))
    ratio = statistics.median(many / one for one, many in speeds)
    console().print(
        f"verdicts per second: {one:.1f} one at a time, {many:.1f} with {_IN_FLIGHT} in flight: {ratio:.1f} times"
    )
    await generator.close()


# questions


def _application(server: RunningModel, **generator: Any) -> Application:
    path = deployment.write_deployment(
        server.folder, server.folder, generator={**server.spec, **generator}, cache={"enabled": False}
    )
    return Application.open(path)


def _questions(n: int) -> list[str]:
    return [f"{text}?" for lang in ("ko", "fi") for text in sentences(lang, n // 2, seed=9)]


def _stages(answers: Sequence[Answer]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for answer in answers:
        total.update(answer.trace.seconds)
    return {stage: seconds / len(answers) for stage, seconds in total.items()}


@app.command()
def questions(n: int = typer.Option(200, help="Questions.")) -> None:
    """Compare qtt_rag one question at a time with 64 in flight: seconds, time by stage, prefix-cache hit rate."""
    with served() as server:
        asyncio.run(_measure_questions(server, n))


async def _measure_questions(server: RunningModel, n: int) -> None:
    texts = _questions(n)
    names = ["vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"]
    times: dict[str, float] = {}
    stages: dict[str, dict[str, float]] = {}
    async with _application(server) as application:
        await application.start()
        before = [server.metric(name) for name in names]
        for mode, in_flight in (("cold", _IN_FLIGHT), ("one at a time", 1), ("64 in flight", _IN_FLIGHT)):
            start = time.perf_counter()
            requests = [AskRequest(text, strategy="qtt_rag") for text in texts]
            answers = await concurrently(application.ask, requests, in_flight)
            times[mode], stages[mode] = time.perf_counter() - start, _stages(answers)
            hits, queries = (server.metric(name) - value for name, value in zip(names, before, strict=True))
            console().print(f"{mode}: {hits:.0f} of {queries:.0f} prompt tokens were cached ({hits / queries:.1%})")
            before = [server.metric(name) for name in names]
    rows = [[mode, f"{times[mode]:.1f}", *(f"{seconds:.3f}" for seconds in stages[mode].values())] for mode in times]
    console().print(table("mode", f"{n} questions, s", *stages["cold"], rows=rows))
    console().print(f"64 in flight is {times['one at a time'] / times['64 in flight']:.1f} times as fast")


# an outage


@app.command()
def outage(
    n: int = typer.Option(200, help="Questions."),
    down_s: float = typer.Option(20.0, help="Seconds until the server is restarted."),
    patience: float = typer.Option(180.0, help="The generator's `patience:`."),
) -> None:
    """Kill the server (kill -9) in the middle of the questions, restart it, and count the results."""
    with served() as server:
        asyncio.run(_measure_outage(server, n, down_s, patience))


async def _measure_outage(server: RunningModel, n: int, down_s: float, patience: float) -> None:
    texts = _questions(n)
    async with _application(server, patience=patience) as application:
        await application.start()
        done: list[float] = []

        async def ask(text: str) -> Answer | StageError:
            start = time.perf_counter()
            try:
                return await application.ask(AskRequest(text, strategy="qtt_rag"))
            except StageError as error:
                return error
            finally:
                done.append(time.perf_counter() - start)

        expected = await concurrently(ask, texts, _IN_FLIGHT)
        longest = max(done)
        done.clear()
        work = asyncio.ensure_future(concurrently(ask, texts, _IN_FLIGHT))
        while len(done) < n // 4:
            await asyncio.sleep(0.05)
        already, home = len(done), server.folder
        os.killpg(serving.start(server.spec, home, server.bin_folder).pid, signal.SIGKILL)
        killed = time.perf_counter()
        await asyncio.sleep(down_s)
        serving.stop(home)  # removes the file of the killed server
        await asyncio.to_thread(serving.start, server.spec, home, server.bin_folder)
        console().print(f"killed after {already} answers, ready again {time.perf_counter() - killed:.0f} s later")
        results = await work
    answers = [result for result in results if isinstance(result, Answer)]
    expected_texts = {result.query.text: result.text for result in expected if isinstance(result, Answer)}
    rows = [
        ["lost (an error instead of an answer)", str(len(results) - len(answers))],
        ["degraded", str(sum(bool(answer.degraded) for answer in answers))],
        [f"late (longer than the longest without the outage, {longest:.1f} s)", str(sum(s > longest for s in done))],
        ["longest, s", f"{max(done):.1f}"],
        ["restarted (answers or verdicts)", str(sum(_count(answer, "begun_again") for answer in answers))],
        ["retried", str(sum(_count(answer, "retried") for answer in answers))],
        ["unscored translations", str(sum(p.unscored is not None for a in answers for p in a.context))],
        ["the same text as without the outage", str(sum(expected_texts.get(a.query.text) == a.text for a in answers))],
        ["error words in an answer", str(sum("Error" in a.text or "HTTP" in a.text for a in answers))],
    ]
    console().print(table(f"of {n} questions", "", rows=rows))
    for error in {str(result) for result in results if not isinstance(result, Answer)}:
        console().print(f"lost: {error}", markup=False)


def _count(answer: Answer, what: str) -> int:
    return sum(count for name, count in answer.trace.counts.items() if name.endswith(f".{what}"))


@app.command("all")
def everything(
    n: int = typer.Option(2000, help="Scoring calls with the schema."),
    few: int = typer.Option(60, help="Calls one at a time, and calls with the language's own keys."),
    during: int = typer.Option(200, help="Questions during the outage."),
    timed: int = typer.Option(200, help="Questions one at a time and with 64 in flight."),
) -> None:
    """Run all three benchmarks on one server, one after another."""
    with served() as server:
        asyncio.run(_measure_verdicts(server, n, few, 3))
        asyncio.run(_measure_outage(server, during, 20.0, 300.0))
        asyncio.run(_measure_questions(server, timed))


if __name__ == "__main__":
    app()
