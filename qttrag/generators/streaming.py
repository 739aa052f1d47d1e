"""Tokens of a batch into pieces of text, row by row, as they come."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qttrag.types import Token

if TYPE_CHECKING:
    import torch

_BROKEN = "\ufffd"  # what a tokenizer makes of half a character


class RowStream:
    """One row's text. `left`: its caller is gone. `ended`: the model came to an end by itself.

    `with_alternatives`: its tokens with their alternatives, if those were requested."""

    def __init__(self, tokenizer: Any, emit: Callable[[str], object], max_tokens: int) -> None:
        self.left = False
        self.ended = False
        self.tokens = 0
        self.with_alternatives: list[Token] = []
        self.alternatives: Mapping[str, float] = {}  # of the next token
        self._tokenizer = tokenizer
        self._emit = emit
        self._max_tokens = max_tokens
        self._ids: list[int] = []
        self._from = 0  # decoding starts here: a token before the first one not yet written, for its spacing
        self._written = 0

    @property
    def done(self) -> bool:
        return self.left or self.ended or self.tokens >= self._max_tokens

    def put(self, token: int, ends: Collection[int]) -> None:
        self.tokens += 1
        if self.alternatives:
            self.with_alternatives.append(Token("" if token in ends else self._decode([token]), self.alternatives))
        if token in ends:
            self.ended = True
        else:
            self._ids.append(token)
        self._write(last=self.done)

    def _write(self, *, last: bool) -> None:
        before = self._decode(self._ids[self._from : self._written])
        now = self._decode(self._ids[self._from :])
        if now.endswith(_BROKEN) and not last:
            return
        if piece := now[len(before) :].rstrip(_BROKEN if last else ""):
            self._emit(piece)
        self._from, self._written = self._written, len(self._ids)

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class Streamer:
    """What transformers calls with each step's tokens, and asks which rows may stop."""

    def __init__(self, rows: Sequence[RowStream], ends: Collection[int]) -> None:
        self._rows = rows
        self._ends = frozenset(ends)
        self._in_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._in_prompt:  # the first call shows the prompts
            self._in_prompt = False
            return
        for row, token in zip(self._rows, value.flatten().tolist(), strict=True):
            if not row.done:
                row.put(token, self._ends)

    def end(self) -> None:
        """Nothing is left to write: each row wrote its last piece when it was done."""

    def stopped(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        import torch

        return torch.tensor([row.done for row in self._rows], device=input_ids.device)


class Alternatives:
    """A transformers logits processor: tells each row the `wanted[n]` likeliest of its next tokens."""

    def __init__(self, rows: Sequence[RowStream], wanted: Sequence[int], tokenizer: Any) -> None:
        self._wanted = [(n, row, k) for n, (row, k) in enumerate(zip(rows, wanted, strict=True)) if k]
        self._tokenizer = tokenizer

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        for n, row, k in self._wanted:
            likeliest = scores[n].float().log_softmax(-1).topk(k)
            told: dict[str, float] = {}
            for logprob, token in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True):
                if logprob > float("-inf"):
                    told.setdefault(self._tokenizer.decode([token]), logprob)
            row.alternatives = told
        return scores
