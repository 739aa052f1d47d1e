from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.errors import InputError
from qttrag.pipeline.context_budget import Block, fit
from qttrag.types import Lang, Message


def block(n: int, body: str, lang: str = "en") -> Block:
    return Block(n, lambda text: f"[{n}]\n{text}", body, Lang(lang))


def assemble(texts: Sequence[str]) -> list[Message]:
    return [{"role": "user", "content": "\n\n".join([*texts, "Q?"])}]


async def characters(messages: Sequence[Message]) -> int:
    return sum(len(message["content"]) for message in messages)


async def test_passages_that_fit_are_unchanged() -> None:
    fitted = await fit([block(1, "One. Two.")], assemble, count=characters, limit=100)
    assert fitted.messages == assemble(["[1]\nOne. Two."])
    assert (fitted.sentences_omitted, fitted.omitted, fitted.shortened) == (0, [], [])


async def test_sentences_are_omitted_from_the_end_of_the_last_block() -> None:
    blocks = [block(1, "First one. First two."), block(2, "Second one. Second two.")]
    fitted = await fit(blocks, assemble, count=characters, limit=50)
    assert fitted.messages == assemble(["[1]\nFirst one. First two.", "[2]\nSecond one."])
    assert (fitted.sentences_omitted, fitted.omitted, fitted.shortened) == (1, [], [2])


async def test_a_block_without_sentences_is_omitted_with_its_header() -> None:
    blocks = [block(1, "北京是首都。人口很多。", "zh"), block(2, "一。二。", "zh")]
    fitted = await fit(blocks, assemble, count=characters, limit=20)
    assert fitted.messages == assemble(["[1]\n北京是首都。人口很多。"])
    assert (fitted.sentences_omitted, fitted.omitted, fitted.shortened) == (2, [2], [])


async def test_a_question_that_does_not_fit_is_an_error_with_both_numbers() -> None:
    with pytest.raises(InputError, match="2 tokens, the generator has room for 1"):
        await fit([block(1, "Text.")], assemble, count=characters, limit=1)


@given(
    st.lists(st.lists(st.sampled_from(["One.", "Two two.", "Three three three."]), max_size=4), max_size=4),
    st.integers(2, 200),
)
async def test_the_prompt_fits_and_is_shortened_only_if_necessary(texts: list[list[str]], limit: int) -> None:
    blocks = [block(n, " ".join(sentences)) for n, sentences in enumerate(texts, 1)]
    fitted = await fit(blocks, assemble, count=characters, limit=limit)
    assert await characters(fitted.messages) <= limit
    if fitted.sentences_omitted:
        more = await fit(blocks, assemble, count=characters, limit=10**6)
        assert await characters(more.messages) > limit


async def test_a_prompt_with_fewer_bytes_than_there_is_room_for_is_not_counted() -> None:
    async def uncounted(messages: Sequence[Message]) -> int:
        raise AssertionError("its tokenizer takes seconds to load")

    blocks = [block(1, "One. Two."), block(2, "하나. 둘.", "ko")]
    assert (await fit(blocks, assemble, count=uncounted, limit=400)).sentences_omitted == 0


@pytest.mark.parametrize("text", ["\ufdfa" * 40, "\uff21" * 150, "가" * 150], ids=["expands", "shrinks", "bytes"])
async def test_text_that_may_have_a_token_for_each_byte_is_counted(text: str) -> None:
    async def bytes_of(messages: Sequence[Message]) -> int:
        return max(len(normalize(form, messages[0]["content"]).encode()) for form in ("NFC", "NFKC"))

    fitted = await fit([block(1, text)], assemble, count=bytes_of, limit=400)
    assert await bytes_of(fitted.messages) <= 400
