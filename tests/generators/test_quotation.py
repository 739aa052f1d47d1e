"""What a copied completion may be, by the grammar alone, with the demo's tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoTokenizer

from demo.train import MODELS
from qttrag.generators import quotation
from qttrag.types import Quotation

QUOTATION = Quotation(
    ("The currency of Gabon is the CFA franc. The code is XAF.", "가봉의 통화는 프랑이다.", "加蓬的货币是法郎。"),
    "The passages do not contain the answer.",
)


@pytest.fixture(scope="module")
def tokenizers() -> tuple[Any, Any]:
    from llguidance.hf import from_tokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(MODELS / "language-model")
    return tokenizer, from_tokenizer(tokenizer, n_vocab=6464)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("CFA franc", True),
        (" CFA franc", True),
        ("The passages do not contain the answer.", True),
        (" The passages do not contain the answer.", True),
        ("프랑", True),
        ("法郎", True),
        ("CFA fran", False),
        ("franc CFA", False),
        ("가봉의 프랑", False),
        ("", False),
        (".", False),
    ],
)
def test_only_whole_words_of_one_text_or_the_sentence_are_allowed(
    tokenizers: tuple[Any, Any], text: str, allowed: bool
) -> None:
    from llguidance import LLMatcher

    tokenizer, of_grammar = tokenizers
    matcher = LLMatcher(of_grammar, LLMatcher.grammar_from_lark(quotation.grammar(QUOTATION)))
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert (matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()) is allowed
