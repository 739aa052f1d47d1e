"""The values that travel through the stages: frozen, plain, without behaviour of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NewType, TypedDict

if TYPE_CHECKING:
    from qttrag.trace import Trace

Lang = NewType("Lang", str)
"""A language as an ISO 639 code ("ko", "fi", "ace"); see `qttrag.text.languages`. A model's codes stay in its file."""

UNDETERMINED = Lang("und")
"""The language of a text without letters, or of one that nobody can tell."""

MAX_SCORE = 5.0  # the paper's scale: 0.0 to 5.0 with one decimal, arXiv:2510.23070


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question. `lang` is the language to answer in; `text` may be a translation of what was asked.

    `collections`: only these are searched, sorted names; None: all that the retriever has."""

    text: str
    lang: Lang
    query_id: str = ""
    collections: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class AskLimits:
    """What one question may use; None stands for the deployment's own value.

    `depth`: passages retrieved and reranked. `top_k`: passages read. `answer_tokens`: length of the answer.
    `deadline`: seconds until the question is given up."""

    depth: int | None = None
    top_k: int | None = None
    answer_tokens: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question as a caller asks it, the same from the command line, over HTTP, from Python and from a suite.

    `lang`: the language to answer in; None: detected from the question. `strategy`: None for the deployment's.
    `options`: of the strategy, applied over those of the deployment. `collections`: search only these; None: all.
    `query_id`: the caller's own name of the question."""

    question: str
    lang: str | None = None
    strategy: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    collections: Sequence[str] | None = None
    limits: AskLimits = AskLimits()
    query_id: str = ""


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """What vectors depend on. `revision` identifies the weights; `max_tokens`: tokens of a text that are encoded;
    prefixes are put before each query and each passage."""

    model: str
    revision: str
    dim: int
    max_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""


class Tokens(NamedTuple):
    """The part of a text that an encoder reads, and its token ids. `cut`: the text was longer."""

    text: str
    ids: list[int]
    cut: bool


class Prepared(NamedTuple):
    """A batch of texts as an encoder takes it, e.g. padded tensors on the CPU by name."""

    features: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a collection as it was indexed."""

    passage_id: str
    text: str
    lang: Lang
    title: str = ""

    @property
    def content(self) -> str:
        """Return "Title. text", which is what is encoded, ranked, translated and read."""
        head = f"{self.title}. " if self.title else ""
        return self.text if self.text.startswith(head) else head + self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. Scores of different retrievers are not comparable; a higher one is a better hit."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class QualityScores:
    """Quality scores of a translation, each in [0, 5]. "Could not say" is None in their place, never zero.

    Raises:
        ValueError: a score is not a finite number in [0, 5]."""

    semantic: float
    grammar: float
    fluency: float

    def __post_init__(self) -> None:
        for name in ("semantic", "grammar", "fluency"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0.0 <= value <= MAX_SCORE):
                raise ValueError(f"{name} score {value!r} is outside [0, {MAX_SCORE:g}]")

    def values(self) -> tuple[float, float, float]:
        return (self.semantic, self.grammar, self.fluency)


@dataclass(frozen=True, slots=True)
class Translation:
    """A translator's output. `flags` name what is surely wrong with it: empty, copied, loop, script."""

    text: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tagger's word on one translation: its scores, or None and the cause (unreadable, range, server, ...)."""

    scores: QualityScores | None
    cause: str | None = None
    error: Exception | None = field(default=None, compare=False)  # of cause "unavailable": what the tagger met with


@dataclass(frozen=True, slots=True)
class TaggedPassage:
    """What the generator reads of one passage, and where it stood in the ranking."""

    passage: Passage
    translation: str | None = None  # None: already in the language asked for, or not translated
    scores: QualityScores | None = None  # None: not a translation, or not scored
    refined: str | None = None  # DKM-RAG's rewriting
    flags: tuple[str, ...] = ()  # the translator's flags
    unscored: str | None = None  # why a translation that was to be scored has no scores
    score: float = 0.0  # rank score: the reranker's, or the retriever's where none reranks
    retrieved_rank: int = 0  # 1-based, before reranking

    @property
    def reading_text(self) -> str:
        """Return the text that stands for the passage: its translation where it has one, even an empty one."""
        return self.passage.content if self.translation is None else self.translation


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a generator decodes. Temperature 0 is greedy. `schema`: a JSON schema the completion has to follow.

    `alternatives`: of each token, how many of the likeliest in its place are told (`Completion.tokens`)."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    schema: Mapping[str, object] | None = field(default=None, hash=False)
    alternatives: int = 0


class Token(NamedTuple):
    """A token of a completion. `alternatives`: log probability by text of the likeliest in its place."""

    text: str
    alternatives: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole completion. `cut`: it ended at `max_tokens`, not by itself. `tokens`: where alternatives were asked.

    `reasoning`: what a reasoning model wrote before its answer; it is part of neither `text` nor `tokens`."""

    text: str
    cut: bool = False
    tokens: tuple[Token, ...] = ()
    reasoning: str = ""


class Piece(NamedTuple):
    """A part of a completion as a generator streams it; the fields are those of `Completion`, `cut` with the last.

    `restart`: the text so far was reasoning; the answer begins with the text of this piece."""

    text: str
    tokens: Sequence[Token] = ()
    cut: bool = False
    reasoning: str = ""
    restart: bool = False


class _Restart(str):
    """A piece without text that is no other piece."""

    __slots__ = ()


RESTART: str = _Restart()
"""A piece of text that a generator yields when all text so far was reasoning; compare with `is`."""


@dataclass(frozen=True, slots=True)
class Citations:
    """The passages an answer rests on, by their numbers from 1 in `context`.

    `how`: "marked" by the generator, or "found" by the words of the answer; None where there are none.
    `unknown`: numbers the generator gave that name no passage it was given."""

    passages: tuple[int, ...] = ()
    how: Literal["marked", "found"] | None = None
    unknown: tuple[int, ...] = ()


LanguageCheck = Literal["off", "right", "cannot tell", "wrong", "asked again", "translated"]
"""What became of the language guard: the last two are answers that were in another language first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the passages that were read for it, in reading order, and the trace of the work.

    `abstained`: it says, in the words asked for, that the passages do not hold the answer.
    `finish_reason`: "length" where the answer was cut at its limit. `reasoning`: of a reasoning model, None without.
    `strategy`: the name of the strategy that answered; empty where a strategy was called directly."""

    query: Query
    text: str
    lang: Lang
    context: tuple[TaggedPassage, ...]
    trace: Trace
    abstained: bool = False
    citations: Citations = Citations()
    language_check: LanguageCheck = "off"
    strategy: str = ""
    finish_reason: Literal["stop", "length"] = "stop"
    reasoning: str | None = None

    @property
    def degraded(self) -> list[str]:
        """Return what is missing because a stage was down, in words; empty where nothing is."""
        return list(self.trace.degraded)


class Event(NamedTuple):
    """Progress of one question: the passages after a step, or a piece of the answer.

    "restarted": the pieces so far are void, the answer begins anew; `text` says why."""

    kind: Literal["ranked", "translated", "tagged", "refined", "piece", "restarted"]
    passages: tuple[TaggedPassage, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """What was done for a request before its deadline: the latest passages and the text so far.

    None in their place: the request was for single stages, not for an answer."""

    trace: Trace
    passages: tuple[TaggedPassage, ...] | None = None
    text: str | None = None

    def after(self, event: Event) -> PartialAnswer:
        """Return what there is after one more event."""
        match event.kind:
            case "piece":
                return replace(self, text=(self.text or "") + event.text)
            case "restarted":
                return replace(self, text="")
        return replace(self, passages=event.passages)


def ignore(event: Event) -> None:
    """Do nothing with an event."""
