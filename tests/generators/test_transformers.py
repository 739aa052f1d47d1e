"""The in-process generator on a tiny Llama with random weights."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError, StageError, StageUnavailable
from qttrag.generators.cached import CachedGenerator
from qttrag.generators.completion_stream import joined, separated
from qttrag.generators.streaming import RowStream
from qttrag.generators.transformers import TransformersGenerator
from qttrag.protocols import Generator
from qttrag.runtime.cache import Cache
from qttrag.taggers.verdicts import SCHEMA, parse
from qttrag.text.reasoning import ReasoningSeparator
from qttrag.trace import Trace
from qttrag.types import Decoding, Message, Piece, Quotation
from tests.texts import LANGS, sentences

QUESTIONS = [text for lang in LANGS for text in sentences(lang, 4, seed=3)]


@pytest.fixture(scope="module")
def llama(tiny: Path) -> TransformersGenerator:
    return TransformersGenerator(str(tiny / "llama"), device="cpu")


def ask(text: str) -> list[Message]:
    return [{"role": "system", "content": "Answer."}, {"role": "user", "content": text}]


async def complete(generator: Generator, text: str, decoding: Decoding | None = None) -> str:
    return "".join([piece async for piece in generator.generate(ask(text), decoding or Decoding(max_tokens=12))])


async def test_batched_greedy_completions_equal_those_of_single_calls(llama: TransformersGenerator) -> None:
    batched = await asyncio.gather(*(complete(llama, text) for text in QUESTIONS))
    assert batched == [await complete(llama, text) for text in QUESTIONS]
    assert len(set(batched)) > 3


async def test_the_joined_pieces_are_the_tokenizers_own_text(llama: TransformersGenerator, tiny: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny / "llama")
    model: Any = AutoModelForCausalLM.from_pretrained(tiny / "llama")
    for text in QUESTIONS[:6]:
        inputs = tokenizer.apply_chat_template(ask(text), add_generation_prompt=True, return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        expected = tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        assert await complete(llama, text, Decoding(max_tokens=40)) == expected.rstrip("\ufffd")


async def test_no_piece_ends_in_an_incomplete_character(llama: TransformersGenerator) -> None:
    for text in QUESTIONS:
        pieces = [piece async for piece in llama.generate(ask(text), Decoding(max_tokens=40))]
        assert len(pieces) > 1
        assert not any(piece.endswith("\ufffd") for piece in pieces[:-1])


async def test_a_random_model_follows_a_schema(llama: TransformersGenerator) -> None:
    decoding = Decoding(max_tokens=64, schema=SCHEMA)
    replies = await asyncio.gather(*(complete(llama, text, decoding) for text in QUESTIONS))
    assert all(parse(reply).scores is not None for reply in replies)


async def test_a_reply_is_cut_within_what_its_schema_forces(llama: TransformersGenerator) -> None:
    reply = await llama.complete(ask(QUESTIONS[0]), Decoding(max_tokens=2, schema=SCHEMA))
    assert reply.cut
    assert reply.usage.completion_tokens == 2
    assert '{"semantic":'.startswith(reply.text)


async def test_forced_tokens_are_certain(llama: TransformersGenerator) -> None:
    reply = await llama.complete(ask(QUESTIONS[0]), Decoding(max_tokens=64, schema=SCHEMA, alternatives=3))
    assert "".join(token.text for token in reply.tokens) == reply.text
    assert reply.tokens[0].alternatives == {reply.tokens[0].text: 0.0}
    assert reply.tokens[-1] == ("", {"": 0.0})
    assert any(len(token.alternatives) == 3 for token in reply.tokens)


async def test_a_random_model_copies_whole_words(llama: TransformersGenerator) -> None:
    texts = ("Gabonin valuutta on CFA-frangi.", "가봉의 통화는 프랑이다.")
    words = {"Gabonin", "valuutta", "on", "CFA", "frangi"}
    for question in QUESTIONS[:6]:
        reply = await complete(llama, question, Decoding(max_tokens=24, quote=Quotation(texts, "No answer.")))
        assert reply.strip() == "No answer." or any(reply.strip() in text for text in texts)
        assert set(re.findall("[A-Za-z]+", reply)) <= words | {"No", "answer"}


async def test_a_quotation_is_not_empty_and_may_be_the_other_sentence(llama: TransformersGenerator) -> None:
    reply = await complete(llama, QUESTIONS[0], Decoding(max_tokens=24, quote=Quotation((), "No.")))
    assert reply.strip() == "No."
    assert (await complete(llama, QUESTIONS[0], Decoding(max_tokens=4, quote=Quotation(("7",), "No.")))).strip()


async def test_rows_with_and_without_a_schema_share_a_batch(llama: TransformersGenerator) -> None:
    with_schema, without = await asyncio.gather(
        complete(llama, QUESTIONS[0], Decoding(max_tokens=64, schema=SCHEMA)),
        complete(llama, QUESTIONS[1], Decoding(max_tokens=64)),
    )
    assert set(json.loads(with_schema)) == {"semantic", "grammar", "fluency"}
    assert without == await complete(llama, QUESTIONS[1], Decoding(max_tokens=64))


async def test_a_completion_has_at_most_max_tokens(llama: TransformersGenerator) -> None:
    trace = Trace()
    with trace.stage("answer"):
        await complete(llama, QUESTIONS[0], Decoding(max_tokens=5))
    assert trace.counts["answer.completion_tokens"] <= 5
    assert trace.counts["answer.prompt_tokens"] == await llama.count_tokens(ask(QUESTIONS[0]))


async def test_a_sampled_completion_differs_from_the_greedy_one(llama: TransformersGenerator) -> None:
    hot = Decoding(max_tokens=30, temperature=2.0)
    assert await complete(llama, QUESTIONS[0], hot) != await complete(llama, QUESTIONS[0], Decoding(max_tokens=30))


async def test_a_caller_that_closes_its_stream_does_not_disturb_the_others(llama: TransformersGenerator) -> None:
    alone = await complete(llama, QUESTIONS[1])
    stream = llama.generate(ask(QUESTIONS[0]), Decoding(max_tokens=12))
    other = asyncio.create_task(complete(llama, QUESTIONS[1]))
    await anext(stream)
    await stream.aclose()
    assert await other == alone


async def test_generation_stops_when_every_stream_is_closed(llama: TransformersGenerator) -> None:
    stream = llama.generate(ask(QUESTIONS[0]), Decoding(max_tokens=7000))
    await anext(stream)
    await stream.aclose()
    assert await asyncio.wait_for(complete(llama, QUESTIONS[1]), 10)


async def test_a_prompt_that_exceeds_the_context_is_rejected_with_the_numbers(tiny: Path) -> None:
    narrow = TransformersGenerator(str(tiny / "llama"), device="cpu", context=64)
    with pytest.raises(StageError, match=r"a prompt of \d+ tokens and 12 to generate exceed .* 64;"):
        await complete(narrow, "한국어 " * 100)


async def test_without_a_system_role_the_system_message_becomes_part_of_the_user_message(
    tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gemma-like"
    shutil.copytree(tiny / "llama", folder)
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ m['content'] }}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    merged = TransformersGenerator(str(folder), device="cpu")
    from transformers import AutoTokenizer

    expected = AutoTokenizer.from_pretrained(folder)("Answer.\n\n언제?")["input_ids"]
    assert await merged.count_tokens(ask("언제?")) == len(expected)


async def test_a_model_without_a_chat_template_is_rejected_by_name(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base-model"
    shutil.copytree(tiny / "llama", folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match="'base-model' has no chat template; use an instruction-tuned"):
        await TransformersGenerator(str(folder), device="cpu").start()


async def test_a_folder_without_a_language_model_is_rejected(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"nllb cannot be loaded as a language model|no chat template"):
        await TransformersGenerator(str(tiny / "nllb"), device="cpu").start()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model folder"):
        await TransformersGenerator(str(tmp_path / "nothing"), device="cpu").start()


async def test_weights_other_than_safetensors_are_rejected(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny / "llama", folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"no \*\.safetensors weights"):
        await TransformersGenerator(str(folder), device="cpu").start()


def test_identity_changes_with_the_weights(tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny / "llama", other)
    same = TransformersGenerator(str(other), device="cpu").identity
    assert same == TransformersGenerator(str(tiny / "llama"), device="cpu").identity
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert TransformersGenerator(str(other), device="cpu").identity != same


def test_identity_names_the_data_type_of_the_device(tiny: Path) -> None:
    path = str(tiny / "llama")
    assert TransformersGenerator(path, device="cpu").identity.endswith(":float32")
    assert TransformersGenerator(path, device="cuda").identity.endswith(":auto")


async def test_a_cached_completion_needs_no_weights(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    shutil.copytree(tiny / "llama", folder)
    cache = Cache(tmp_path / "cache.sqlite")
    first = await complete(CachedGenerator(TransformersGenerator(str(folder), device="cpu"), cache), QUESTIONS[0])
    again = CachedGenerator(TransformersGenerator(str(folder), device="cpu"), cache)
    assert again.identity
    (folder / "model.safetensors").unlink()
    assert await again.count_tokens(ask(QUESTIONS[0])) > 0
    assert await complete(again, QUESTIONS[0]) == first
    with pytest.raises(ConfigError, match="cannot be loaded"):
        await complete(again, QUESTIONS[1])


async def test_a_call_that_takes_too_long_fails_and_frees_the_device(tiny: Path) -> None:
    generator = TransformersGenerator(str(tiny / "llama"), device="cpu", call_timeout=0.3)
    await generator.start()
    messages: list[Message] = [{"role": "user", "content": "?"}]
    with pytest.raises(StageUnavailable, match=r"not done after 0\.3 s; raise `call_timeout:`"):
        await generator.complete(messages, Decoding(max_tokens=8000))
    quick = TransformersGenerator(str(tiny / "llama"), device="cpu")
    assert (await asyncio.wait_for(quick.complete(messages, Decoding(max_tokens=2)), 20)).cut


def thinking_template(folder: Path, tiny: Path) -> Path:
    """A copy of the tiny model whose template opens a block of reasoning where thinking is on."""
    shutil.copytree(tiny / "llama", folder)
    template = (
        "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
        "{% if enable_thinking is false %}plain{% else %}<think>\n{% endif %}"
    )
    (folder / "chat_template.jinja").write_text(template)
    return folder


@pytest.mark.parametrize(("thinking", "end"), [(False, "plain"), (True, "<think>\n")])
async def test_thinking_is_switched_in_the_chat_template(tiny: Path, tmp_path: Path, thinking: bool, end: str) -> None:
    from transformers import AutoTokenizer

    folder = thinking_template(tmp_path / "model", tiny)
    generator = TransformersGenerator(str(folder), device="cpu", thinking=thinking)
    expected = AutoTokenizer.from_pretrained(folder)(f"Answer.\n언제?\n{end}")["input_ids"]
    assert await generator.count_tokens(ask("언제?")) == len(expected)
    assert generator.identity.endswith(":thinking") is thinking


async def test_what_a_template_opened_is_reasoning_to_the_end_of_the_completion(tiny: Path, tmp_path: Path) -> None:
    folder = thinking_template(tmp_path / "model", tiny)
    generator = TransformersGenerator(str(folder), device="cpu", thinking=True)
    completion = await generator.complete(ask(QUESTIONS[0]), Decoding(max_tokens=8))
    assert (completion.text, completion.cut) == ("", True)
    assert completion.reasoning.strip()


HARMONY = (
    "<|channel|>analysis<|message|>hm, [2]?<|end|><|start|>assistant<|channel|>final<|message|>The euro [1].<|return|>"
)


async def test_the_channels_of_harmony_are_separated_token_by_token(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(tiny / "llama")
    markers = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|return|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": markers})
    texts: list[str] = []
    row = RowStream(tokenizer, texts.append, max_tokens=500)
    for token in tokenizer(HARMONY, add_special_tokens=False)["input_ids"]:
        row.put(token, [tokenizer.convert_tokens_to_ids("<|return|>")])

    async def pieces() -> AsyncIterator[Piece]:
        for text in texts:
            yield Piece(text)

    whole = joined([piece async for piece in separated(pieces(), ReasoningSeparator())])
    assert row.ended
    assert (whole.text, whole.reasoning) == ("The euro [1].", "hm, [2]?")
