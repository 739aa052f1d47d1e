"""Constrained decoding: an in-process model follows a JSON schema, or copies from texts, token by token."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qttrag.errors import StageError
from qttrag.generators import quotation
from qttrag.types import Quotation

if TYPE_CHECKING:
    import torch

_COMPACT: Any = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}


class GrammarMasks:
    """Makes the logits processors of one tokenizer."""

    def __init__(self, tokenizer: Any, *, vocab_size: int) -> None:
        from llguidance.hf import from_tokenizer

        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocab_size)
        self._vocab_size = vocab_size

    def processor(self, forms: Sequence[Mapping[str, object] | Quotation | None], *, prompt_length: int) -> _Processor:
        """Return the processor of one batch: row n follows the JSON schema or the quotation `forms[n]`; None: it is
        free."""
        return _Processor([form and self._matcher(form) for form in forms], self._vocab_size, prompt_length)

    def _matcher(self, form: Mapping[str, object] | Quotation) -> Any:
        from llguidance import LLMatcher

        if isinstance(form, Quotation):
            grammar = LLMatcher.grammar_from_lark(quotation.grammar(form))
        else:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps(form), overrides=_COMPACT)
        matcher = LLMatcher(self._tokenizer, grammar)
        _check(matcher)
        return matcher


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
