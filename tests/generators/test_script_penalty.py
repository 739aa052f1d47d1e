"""The penalty on tokens of other scripts, on a tiny Llama with random weights, which mixes scripts."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qttrag.errors import ConfigError
from qttrag.generators.cached import CachedGenerator
from qttrag.generators.llama_cpp import LlamaCppGenerator
from qttrag.generators.script_penalty import PenaltySettings, ScriptPenalty, add
from qttrag.generators.transformers import TransformersGenerator
from qttrag.protocols import Generator
from qttrag.runtime.cache import Cache
from qttrag.text.scripts import scripts_of
from qttrag.trace import Trace
from qttrag.types import Decoding, Message
from tests.texts import sentences

TOKENS = ["", "Seoul", "서울", "수도 Seoul", "首都", " 12.", "\ufffd"]
QUESTIONS = [text for lang in ("en", "ko", "zh") for text in sentences(lang, 2, seed=5)]
HARD = 1000.0


@pytest.fixture(scope="module")
def free(tiny: Path) -> TransformersGenerator:
    return TransformersGenerator(str(tiny / "llama"), device="cpu")


@pytest.fixture(scope="module")
def strict(tiny: Path) -> TransformersGenerator:
    return TransformersGenerator(str(tiny / "llama"), device="cpu", script_penalty=HARD)


async def complete(generator: Generator, text: str, *scripts: str, tokens: int = 24) -> str:
    messages: list[Message] = [{"role": "user", "content": text}]
    return (await generator.complete(messages, Decoding(max_tokens=tokens, scripts=scripts))).text


def bias(*scripts: str, penalty: float = 5.0) -> Any:
    return ScriptPenalty(PenaltySettings(penalty, 0), lambda: TOKENS).bias(scripts)


def test_a_token_with_a_letter_of_another_script_is_penalised_and_no_other() -> None:
    assert bias("Hang").tolist() == [0, -5, 0, -5, -5, 0, 0]
    assert bias("Hang", "Latn").tolist() == [0, 0, 0, 0, -5, 0, 0]


def test_a_completion_without_scripts_or_a_penalty_of_zero_is_free() -> None:
    assert bias() is None
    assert bias("Hang", penalty=0) is None


def test_a_much_likelier_name_in_another_script_is_kept() -> None:
    logits = np.array([0, 9, 3, 0, 0, 0, 0, 0], np.float32)
    assert not add(bias("Hang"), logits)
    assert logits.argmax() == 1
    assert add(bias("Hang"), logits)
    assert logits.argmax() == 2


async def test_rows_of_a_batch_have_their_own_scripts(
    strict: TransformersGenerator, free: TransformersGenerator
) -> None:
    wanted = [("Hang",), ("Latn",), (), ("Hani", "Kana")]
    texts = await asyncio.gather(*(complete(strict, QUESTIONS[0], *scripts) for scripts in wanted))
    for text, scripts in zip(texts, wanted, strict=True):
        letters = scripts_of(text)  # parts of characters are free, and some make a character of another script
        assert not scripts or sum(letters[script] for script in scripts) > letters.total() / 2
    assert texts[2] == await complete(free, QUESTIONS[0])


async def test_the_penalty_begins_after_the_first_tokens(tiny: Path, free: TransformersGenerator) -> None:
    late = TransformersGenerator(str(tiny / "llama"), device="cpu", script_penalty=HARD, script_penalty_after=6)
    ask = partial(complete, late, QUESTIONS[0], "Thai")
    assert await ask(tokens=6) == await complete(free, QUESTIONS[0], tokens=6)
    assert await ask() != await complete(free, QUESTIONS[0])


async def test_the_trace_counts_tokens_that_the_penalty_changed(
    strict: TransformersGenerator, free: TransformersGenerator
) -> None:
    for generator, steered in ((strict, True), (free, False)):
        trace = Trace()
        with trace.stage("answer"):
            await complete(generator, QUESTIONS[0], "Hang")
        assert bool(trace.counts["answer.steered_tokens"]) == steered


async def test_completions_with_another_penalty_are_cached_apart(
    strict: TransformersGenerator, free: TransformersGenerator, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache.sqlite")
    completions = [await complete(CachedGenerator(each, cache), QUESTIONS[0], "Hang") for each in (free, strict)]
    assert completions[0] != completions[1]


@pytest.mark.parametrize("kind", [TransformersGenerator, LlamaCppGenerator])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"script_penalty": -1.0}, "`script_penalty: -1` and `script_penalty_after: 0` must be at least 0"),
        ({"script_penalty_after": -1}, "`script_penalty_after: -1` must be at least 0"),
        ({"script_penalty": 4.0, "thinking": True}, "would also apply to the reasoning of `thinking: true`"),
    ],
)
def test_settings_that_cannot_work_are_refused(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind("a-model", **settings)
