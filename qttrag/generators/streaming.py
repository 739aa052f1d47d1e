"""Streaming a batch of the transformers library: from tokens to pieces of text, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qttrag.text.reasoning import REASONING_MARKERS
from qttrag.types import Token

if TYPE_CHECKING:
    import torch

    from qttrag.generators.schema import Form

_REPLACEMENT = "\ufffd"  # in place of an incomplete character


class RowStream:
    """The text of one row. `abandoned`: its caller was cancelled. `ended`: the model ended it before `max_tokens`.

    `reports`: whether alternatives are requested; `with_alternatives`: its tokens with them. `steered`: tokens that a
    penalty on scripts changed."""

    def __init__(
        self, tokenizer: Any, emit: Callable[[str], object], max_tokens: int, *, reports: bool = False
    ) -> None:
        self.abandoned = False
        self.ended = False
        self.tokens = 0
        self.steered = 0
        self.with_alternatives: list[Token] = []
        self.alternatives: Mapping[str, float] = {}  # of the next token
        self._reports = reports
        self._tokenizer = tokenizer
        special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
        self._markers = {token: text for token, text in special if text in REASONING_MARKERS}
        self._emit = emit
        self._max_tokens = max_tokens
        self._ids: list[int] = []
        self._from = 0  # where decoding starts: one token before the unwritten ones, for the space between them
        self._written = 0

    @property
    def done(self) -> bool:
        return self.abandoned or self.ended or self.tokens >= self._max_tokens

    def put(self, token: int, end_tokens: Collection[int]) -> None:
        self.tokens += 1
        if self.alternatives:
            self.with_alternatives.append(
                Token("" if token in end_tokens else self._decode([token]), self.alternatives)
            )
        if token in end_tokens:
            self.ended = True
        else:
            self._ids.append(token)
        self._write(last=self.done)

    def put_forced(self, token: int, end_tokens: Collection[int]) -> None:
        """Add a token that the form of the reply forces: its probability is 1."""
        self.alternatives = {"" if token in end_tokens else self._decode([token]): 0.0} if self._reports else {}
        self.put(token, end_tokens)

    def _write(self, *, last: bool) -> None:
        before = self._decode(self._ids[self._from : self._written])
        now = self._decode(self._ids[self._from :])
        if now.endswith(_REPLACEMENT) and not last:
            return
        if piece := now[len(before) :].rstrip(_REPLACEMENT if last else ""):
            self._emit(piece)
        self._from, self._written = self._written, len(self._ids)

    def _decode(self, ids: list[int]) -> str:
        """Return the text of tokens, without special ones but for those that mark reasoning."""
        runs = itertools.groupby(ids, lambda token: token if token in self._markers else None)
        return "".join(self._text(list(run)) if marker is None else self._markers[marker] for marker, run in runs)

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


class Streamer:
    """Receives the tokens of each step from transformers, row by row, and says which rows may stop.

    `forms[n]`: what row n follows, if anything; `forced[n]`: the tokens with which it begins, which are in its prompt.
    """

    def __init__(
        self,
        rows: Sequence[RowStream],
        end_tokens: Sequence[int],
        forms: Sequence[Form | None],
        forced: Sequence[Sequence[int]],
    ) -> None:
        self._rows = rows
        self._end_tokens = end_tokens
        self._forms = forms
        self._forced = forced
        self._in_prompt = True

    def put(self, value: torch.Tensor) -> None:
        if self._in_prompt:  # the first call has the prompts
            self._in_prompt = False
            return
        self._put_forced()
        for row, form, token in zip(self._rows, self._forms, value.flatten().tolist(), strict=True):
            if not row.done:
                row.put(token, self._end_tokens)
                if form is not None and not row.done:
                    form.write(token)
                    if form.complete:
                        row.put_forced(self._end_tokens[0], self._end_tokens)

    def _put_forced(self) -> None:
        """Write what precedes the first step, which is known to work now."""
        for row, tokens in zip(self._rows, self._forced, strict=True):
            alternatives = row.alternatives  # of the first step
            for token in tokens:
                if not row.done:
                    row.put_forced(token, self._end_tokens)
            row.alternatives = alternatives
        self._forced = [()] * len(self._rows)

    def end(self) -> None:
        """Do nothing: each row wrote its last piece when it was done."""

    def stopped(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        import torch

        return torch.tensor([row.done for row in self._rows], device=input_ids.device)


class FormMasks:
    """A logits processor for transformers: tokens that the form of a row does not allow next get -inf."""

    def __init__(self, rows: Sequence[RowStream], forms: Sequence[Form | None]) -> None:
        self._rows = [(n, row, form) for n, (row, form) in enumerate(zip(rows, forms, strict=True)) if form]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        for n, row, form in self._rows:
            if not row.done:
                scores[n, torch.from_numpy(form.forbidden()).to(scores.device)] = float("-inf")
        return scores


class Alternatives:
    """A logits processor for transformers: gives row n the `numbers[n]` most likely next tokens."""

    def __init__(self, rows: Sequence[RowStream], numbers: Sequence[int], tokenizer: Any) -> None:
        self._rows = [(n, row, k) for n, (row, k) in enumerate(zip(rows, numbers, strict=True)) if k]
        self._tokenizer = tokenizer

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        for n, row, k in self._rows:
            top = scores[n].float().log_softmax(-1).topk(k)
            logprobs: dict[str, float] = {}
            for logprob, token in zip(top.values.tolist(), top.indices.tolist(), strict=True):
                if logprob > float("-inf"):
                    logprobs.setdefault(self._tokenizer.decode([token]), logprob)
            row.alternatives = logprobs
        return scores
