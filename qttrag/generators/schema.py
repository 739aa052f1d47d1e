"""Constrained decoding: an in-process model follows a JSON schema, or copies from texts, token by token."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qttrag.errors import StageError
from qttrag.generators import quotation
from qttrag.types import Quotation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEPARATORS = ((", ", ": "), (",", ":"))  # between items, and after a key


def separators(schema: Mapping[str, object], length: Callable[[str], int]) -> tuple[str, str]:
    """Return the separators with which an object of the schema has fewer tokens; by default those with spaces.

    `length`: tokens of a text. Most tokenizers have a token for the space before a number: five more in a verdict."""
    names = schema.get("properties")
    example = dict.fromkeys(names, 0) if isinstance(names, Mapping) else {}
    return min(_SEPARATORS, key=lambda pair: length(json.dumps(example, separators=pair, ensure_ascii=False)))


class Forms:
    """The forms of replies that one model follows token by token.

    `tokenizer`: the model's, as llguidance has it, with a token for each logit."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._grammars: dict[str, str] = {}  # by schema

    def follow(self, form: Mapping[str, object] | Quotation) -> Form:
        """Return a JSON schema or a quotation at the beginning of a reply.

        Raises:
            StageError: llguidance cannot follow it."""
        from llguidance import LLMatcher

        return Form(LLMatcher(self._tokenizer, self._grammar(form)), self._tokenizer.vocab_size)

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


class Form:
    """A reply that follows a form, as far as it is written."""

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._check()

    @property
    def complete(self) -> bool:
        """Whether nothing can follow but the end of the reply."""
        return bool(self._matcher.is_stopped())

    def forced(self) -> list[int]:
        """Write the next tokens where there is no choice, and return them: the names of a JSON object's members."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        self._matcher.consume_tokens(tokens)
        self._check()
        return tokens

    def write(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def forbidden(self) -> NDArray[np.bool_]:
        """Return which tokens may not be next, shape (vocabulary,)."""
        import numpy as np
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        bits = allocate_token_bitmask(1, self._vocab_size)
        fill_next_token_bitmask(self._matcher, bits, 0)
        return ~np.unpackbits(bits.view(np.uint8), bitorder="little")[: self._vocab_size].astype(np.bool_)

    def _check(self) -> None:
        if self._matcher.is_error():
            raise StageError("generator", f"the form of the reply cannot be followed: {self._matcher.get_error()}")
