"""Separation of a reasoning model's thoughts from its answer, while the text streams in.

Servers without a reasoning parser send both as one text. The markers are those of the models' chat templates: Qwen3,
DeepSeek-R1, QwQ, Magistral, Seed-OSS, Kimi, Cohere's Command A and gpt-oss (harmony)."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_OPENING = (
    "<think>", "<thinking>", "<thought>", "<reasoning>", "[THINK]", "<seed:think>", "◁think▷", "<|START_THINKING|>",
)  # fmt: skip
_CLOSING = (
    "</think>", "</thinking>", "</thought>", "</reasoning>", "[/THINK]", "</seed:think>", "◁/think▷",
    "<|END_THINKING|>",
)  # fmt: skip
_HEADER, _MESSAGE, _TURN = "<|channel|>", "<|message|>", "<|start|>"  # harmony: <|channel|>NAME<|message|>TEXT
_IGNORED = ("<|START_RESPONSE|>", "<|START_TEXT|>")
_END_OF_MESSAGE = "<|end|>"  # of harmony's messages, of which others follow; and of Phi's turns
_END = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|return|>", "<|call|>", "<|endoftext|>", "<|end_of_text|>",
    "<end_of_turn>", "<|END_RESPONSE|>", "<|END_TEXT|>", "<｜end▁of▁sentence｜>", "<|END_OF_TURN_TOKEN|>",
)  # fmt: skip
_MARKERS = (*_OPENING, *_CLOSING, *_IGNORED, *_END, _HEADER, _MESSAGE, _TURN, _END_OF_MESSAGE)
_ANY = re.compile("|".join(map(re.escape, sorted(_MARKERS, key=len, reverse=True))))
_LONGEST = max(map(len, _MARKERS))
_BEGINNINGS = frozenset(marker[:n] for marker in _MARKERS for n in range(1, len(marker)))

REASONING_MARKERS = frozenset(_MARKERS) - frozenset(_END)

Begins = Literal["answer", "reasoning", "either"]
_Mode = Literal["answer", "reasoning", "header", "ended", "undecided"]


class Separated(NamedTuple):
    """What a piece of text adds. `restart`: the answer up to here was reasoning; `answer` begins anew."""

    answer: str = ""
    reasoning: str = ""
    restart: bool = False


class ReasoningSeparator:
    """Separates the text of one completion.

    Everything before a closing marker without an opening one is reasoning: some chat templates open the block in the
    prompt. Text after an end-of-turn token is dropped, and so are the tokens themselves.
    `begins`: with what the text begins. "either": it is held back until a marker or its end tells; without a marker it
    is the answer, unless it is cut."""

    def __init__(self, begins: Begins = "answer") -> None:
        self._mode: _Mode = "undecided" if begins == "either" else begins
        self._pending = ""  # may be the beginning of a marker
        self._header = ""
        self._answered = ""
        self._undecided = ""
        self._white = ""  # before the first marker: part of the answer unless a marker follows
        self._after_marker = False  # white space between a marker and the answer belongs to neither

    def feed(self, text: str) -> Separated:
        """Return what `text` adds, but for an end of it that may be the beginning of a marker."""
        self._pending += text
        result = Separated()
        while match := _ANY.search(self._pending):
            result = self._added(result, self._pending[: match.start()])
            self._pending = self._pending[match.end() :]
            result = self._switched(result, match[0])
        kept = self._length_of_beginning()
        complete = self._pending[: len(self._pending) - kept]
        self._pending = self._pending[len(self._pending) - kept :]
        return self._added(result, complete)

    def finish(self, *, cut: bool = False) -> Separated:
        """Return what was held back. `cut`: the text ended at its limit."""
        pending, self._pending = self._pending, ""
        result = self._added(Separated(), pending)
        if self._mode == "undecided":
            return Separated(reasoning=self._undecided) if cut else Separated(answer=self._undecided)
        return result._replace(answer=result.answer or self._white)

    def _length_of_beginning(self) -> int:
        """Return the length of the longest end of the pending text that begins a marker."""
        longest = min(len(self._pending), _LONGEST - 1)
        return next((n for n in range(longest, 0, -1) if self._pending[-n:] in _BEGINNINGS), 0)

    def _added(self, result: Separated, text: str) -> Separated:
        if self._mode == "header":
            self._header += text
        elif self._mode == "undecided":
            self._undecided += text
        elif self._mode == "reasoning":
            return result._replace(reasoning=result.reasoning + text)
        elif self._mode == "answer":
            if self._after_marker:
                text = text.lstrip()
                self._after_marker = not text
            elif not self._answered:
                text, self._white = self._white + text, ""
                if not text.strip():
                    self._white = text
                    return result
            self._answered += text
            return result._replace(answer=result.answer + text)
        return result

    def _switched(self, result: Separated, marker: str) -> Separated:
        self._white = ""
        if self._mode == "undecided":
            result = self._decided(result, marker)
        if marker in _CLOSING:
            if self._mode == "answer" and self._answered:
                result = Separated("", self._answered + result.reasoning, restart=True)
            self._begin("answer")
        elif marker in _OPENING:
            self._mode = "reasoning"
        elif marker == _HEADER:
            self._mode, self._header = "header", ""
        elif marker == _MESSAGE:
            if self._mode == "header" and self._header.split()[:1] != ["final"]:
                self._mode = "reasoning"
            else:
                self._begin("answer")
        elif marker in (_END_OF_MESSAGE, _TURN):  # another message may follow, whose header says what it is
            self._mode, self._header = ("header", "") if marker == _TURN else ("ended", "")
        elif marker in _END and self._mode != "reasoning":
            self._mode = "ended"
        return result

    def _decided(self, result: Separated, marker: str) -> Separated:
        text, self._undecided = self._undecided, ""
        self._mode = "answer"
        if marker in _CLOSING:
            return result._replace(reasoning=result.reasoning + text)
        return self._added(result, text)

    def _begin(self, mode: _Mode) -> None:
        self._mode, self._answered, self._after_marker = mode, "", True


def opened_by(prompt: str) -> bool:
    """Return whether a prompt ends inside a block of reasoning that it opened."""
    return prompt.rstrip().endswith(_OPENING)


def separate(text: str) -> Separated:
    """Return the answer and the reasoning of a whole completion; `restart` has no meaning here."""
    separator = ReasoningSeparator()
    first, rest = separator.feed(text), separator.finish()
    return Separated(first.answer + rest.answer, first.reasoning + rest.reasoning)
