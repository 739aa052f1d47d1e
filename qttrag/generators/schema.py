"""Constrained decoding: an in-process model follows a JSON schema, or copies from texts, token by token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qttrag.errors import StageError
from qttrag.generators import quotation
from qttrag.types import Quotation

if TYPE_CHECKING:
    import torch

_SEPARATORS = ((", ", ": "), (",", ":"))  # between items, and after a key


def separators(schema: Mapping[str, object], length: Callable[[str], int]) -> tuple[str, str]:
    """Return the separators with which an object of the schema has fewer tokens; by default those with spaces.

    `length`: tokens of a text. Most tokenizers have a token for the space before a number: five more in a verdict."""
    names = schema.get("properties")
    example = dict.fromkeys(names, 0) if isinstance(names, Mapping) else {}
    return min(_SEPARATORS, key=lambda pair: length(json.dumps(example, separators=pair, ensure_ascii=False)))


class GrammarMasks:
    """Makes the logits processors of one tokenizer."""

    def __init__(self, tokenizer: Any, *, vocab_size: int) -> None:
        from llguidance.hf import from_tokenizer

        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocab_size)
        self._vocab_size = vocab_size
        self._grammars: dict[str, str] = {}  # by schema

    def processor(self, forms: Sequence[Mapping[str, object] | Quotation | None], *, prompt_length: int) -> _Processor:
        """Return the processor of one batch: row n follows the JSON schema or the quotation `forms[n]`; None: it is
        free."""
        return _Processor([form and self._matcher(form) for form in forms], self._vocab_size, prompt_length)

    def _matcher(self, form: Mapping[str, object] | Quotation) -> Any:
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, self._grammar(form))
        _check(matcher)
        return matcher

    def _grammar(self, form: Mapping[str, object] | Quotation) -> str:
        from llguidance import LLMatcher

        if isinstance(form, Quotation):
            return LLMatcher.grammar_from_lark(quotation.grammar(form))
        text = json.dumps(form)
        if text not in self._grammars:
            item, key = separators(form, lambda example: len(self._tokenizer.tokenize_str(example)))
            options: Any = {"whitespace_flexible": False, "item_separator": item, "key_separator": key}
            self._grammars[text] = LLMatcher.grammar_from_json_schema(text, overrides=options)
        return self._grammars[text]


class _Processor:
    """A logits processor for transformers: tokens that the row's schema does not allow next get -inf."""

    def __init__(self, matchers: Sequence[Any], vocab_size: int, prompt_length: int) -> None:
        self._matchers = matchers
        self._vocab_size = vocab_size
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        import numpy as np
        import torch
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        bits = allocate_token_bitmask(1, self._vocab_size)
        for row, matcher in enumerate(self._matchers):
            if matcher is None:
                continue
            if input_ids.shape[1] > self._prompt_length and not matcher.is_stopped():
                matcher.consume_token(int(input_ids[row, -1]))
                _check(matcher)
            fill_next_token_bitmask(matcher, bits, 0)
            allowed = np.unpackbits(bits.view(np.uint8), bitorder="little")[: scores.shape[1]].astype(bool)
            scores[row, torch.from_numpy(~allowed).to(scores.device)] = float("-inf")
        return scores


def _check(matcher: Any) -> None:
    if matcher.is_error():
        raise StageError("generator", f"the form of the reply cannot be followed: {matcher.get_error()}")
