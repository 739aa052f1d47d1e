"""The values that stages exchange: frozen, and nearly without behaviour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NewType, TypedDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qttrag.trace import Trace

Lang = NewType("Lang", str)
"""An ISO 639 language code ("ko", "fi", "ace"); see `qttrag.text.languages`. A model's own codes stay in its file."""

UNDETERMINED = Lang("und")
"""The language of a text without letters, or of one whose language is unknown."""

UNSUPPORTED = "unsupported"
"""The flag of a text that a translator returned unchanged: it does not support the text's language or the target."""

MAX_SCORE = 5.0  # the paper's scale: 0.0 to 5.0 with one decimal, arXiv:2510.23070

Criterion = Literal["semantic", "grammar", "fluency"]
CRITERIA: tuple[Criterion, ...] = ("semantic", "grammar", "fluency")
"""What quality scores measure. Every tagger measures "semantic": whether a translation says what its original says."""


class Message(TypedDict):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question as stages receive it. `lang`: the language to answer in. `text`: may be a translation of the question.

    `collections`: the names of the only collections to search, sorted; None: all of the retriever's."""

    text: str
    lang: Lang
    query_id: str = ""
    collections: tuple[str, ...] | None = None


AnswerStyle = Literal["short", "sentences", "report"]
"""The form of an answer: a name, a number or a few words; one to three sentences; several paragraphs."""

ANSWER_TOKENS: Mapping[AnswerStyle, int] = {"short": 128, "sentences": 384, "report": 1536}
"""The most tokens of an answer where nothing else is set."""


@dataclass(frozen=True, slots=True)
class AskLimits:
    """The limits of one question; None stands for the deployment's value.

    `depth`: passages retrieved and reranked. `top_k`: passages read. `answer_tokens`: maximum length of the answer.
    `deadline`: seconds until the question is cancelled."""

    depth: int | None = None
    top_k: int | None = None
    answer_tokens: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class AskRequest:
    """A question from a caller: the command line, HTTP, Python or an evaluation suite.

    `lang`: the language to answer in; None: detected from the question. `strategy`: None: the deployment's.
    `options`: of the strategy; they override the deployment's. `collections`: search only these; None: all.
    `query_id`: the caller's identifier of the question. `answer_style`: None: the deployment's.
    `earlier`: the turns of user and assistant before the question, oldest first; it is understood in their light."""

    question: str
    lang: str | None = None
    strategy: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    collections: Sequence[str] | None = None
    limits: AskLimits = AskLimits()
    query_id: str = ""
    answer_style: AnswerStyle | None = None
    earlier: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """The properties of an encoder that determine its vectors. `revision`: identifies the weights. `max_tokens`: longer
    texts are truncated. The prefixes precede every query and every passage."""

    model: str
    revision: str
    dim: int
    max_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""


TextRole = Literal["query", "passage"]
"""What a text is for an encoder that puts different prefixes before the two."""


class Embedded(NamedTuple):
    """The unit vector of a text, float32, shape (dim,), and the text's length in tokens before it was cut."""

    vector: NDArray[np.float32]
    tokens: int


class Embeddings(NamedTuple):
    """One item per text, and the encoder."""

    texts: list[Embedded]
    encoder: EncoderInfo


class Tokens(NamedTuple):
    """The part of a text that an encoder reads, and its token ids. `cut`: the text was longer."""

    text: str
    ids: list[int]
    cut: bool


class Prepared(NamedTuple):
    """A batch of texts as an encoder takes it, e.g. padded tensors on the CPU by name."""

    features: dict[str, Any]


class TokenWeights(NamedTuple):
    """Learned weights of the tokens of several texts, as a matrix in compressed rows: those of text n are at
    `starts[n]:starts[n + 1]`.

    `starts`: int64, shape (texts + 1,). `tokens`: int32, numbers in the encoder's vocabulary, ascending in each text,
    each once. `weights`: float32, above 0."""

    starts: NDArray[np.int64]
    tokens: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands in a document. `file`: its name; `page`: on which the passage begins, from 1, None for
    types without pages; `headings`: above the passage, the outermost first."""

    file: str
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a collection, as indexed. `place`: in the document that it is cut from; None: a record's."""

    passage_id: str
    text: str
    lang: Lang
    title: str = ""
    place: Place | None = None

    @property
    def content(self) -> str:
        """Return "Title. text": the form that is encoded, ranked, translated and read."""
        head = f"{self.title}. " if self.title else ""
        return self.text if self.text.startswith(head) else head + self.text


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage and its score; higher is better. Scores of different retrievers are not comparable."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class QualityScores:
    """Quality scores of a translation, each in [0, 5]. An unscored translation has None in their place, never zeros.

    `grammar`, `fluency`: None if the tagger's kind does not measure them.

    Raises:
        ValueError: a score is not a finite number in [0, 5]."""

    semantic: float
    grammar: float | None = None
    fluency: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.measured().items():
            if not (math.isfinite(value) and 0.0 <= value <= MAX_SCORE):
                raise ValueError(f"{name} score {value!r} is outside [0, {MAX_SCORE:g}]")

    def measured(self) -> dict[Criterion, float]:
        """Return the scores by criterion, without criteria that were not measured."""
        scores: dict[Criterion, float | None] = {
            "semantic": self.semantic,
            "grammar": self.grammar,
            "fluency": self.fluency,
        }
        return {name: score for name, score in scores.items() if score is not None}

    def values(self) -> tuple[float, ...]:
        """Return the measured scores, in the order of `CRITERIA`."""
        return tuple(self.measured().values())


@dataclass(frozen=True, slots=True)
class CriticalError:
    """An error that changes what a translation says, likely but not certain; see `qttrag.taggers.critical_errors`.

    `original`: the numbers or names of the original, as written there, that the translation lacks."""

    kind: Literal["numbers", "names", "negation", "omission"]
    original: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """A translator's output. `flags`: the defects that are certain: empty, copied, loop, script, cut, refused; or
    `UNSUPPORTED` alone, where `text` is the original."""

    text: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tagger's result for one translation: its scores, or None and the cause (empty, unreadable, range, ...)."""

    scores: QualityScores | None
    cause: str | None = None
    error: Exception | None = field(default=None, compare=False)  # the tagger's, where the cause is "unavailable"
    critical_errors: tuple[CriticalError, ...] = ()


@dataclass(frozen=True, slots=True)
class TaggedPassage:
    """A passage as the generator reads it, and its place in the ranking."""

    passage: Passage
    translation: str | None = None  # None: not necessary, not supported (see `flags`), or the translator failed
    scores: QualityScores | None = None  # None: not a translation, or not scored
    refined: str | None = None  # the rewriting of DKM-RAG
    flags: tuple[str, ...] = ()  # the translator's flags
    unscored: str | None = None  # the cause, where scoring a translation failed
    critical_errors: tuple[CriticalError, ...] = ()  # of the translation, found by the tagger
    score: float = 0.0  # the reranker's; without one, the retriever's
    retrieved_rank: int = 0  # 1-based, before reranking
    original_names: tuple[str, ...] = ()  # of the original, to be shown beside the translation

    @property
    def reading_text(self) -> str:
        """Return the translation, even an empty one, or the original where there is none."""
        return self.passage.content if self.translation is None else self.translation


class Quotation(NamedTuple):
    """A completion that is copied: a part of one of `texts`, word for word, or else the sentence `otherwise`."""

    texts: tuple[str, ...]
    otherwise: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding parameters of a generator. Temperature 0 is greedy. `schema`: a JSON schema for the completion.

    `quote`: what the completion is copied from; only generators in this process can. Without a schema.

    `alternatives`: how many of the most likely tokens to report at each position (`Completion.tokens`).
    `scripts`: those that the text is expected in (ISO 15924); empty: any. A generator with a `script_penalty:` makes
    letters of others less likely."""

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    schema: Mapping[str, object] | None = field(default=None, hash=False)
    alternatives: int = 0
    quote: Quotation | None = None
    scripts: tuple[str, ...] = ()


class Token(NamedTuple):
    """A token of a completion. `alternatives`: the most likely tokens at its position, log probability by text."""

    text: str
    alternatives: Mapping[str, float]


class Usage(NamedTuple):
    """Tokens of a completion; zeros where the server did not report them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole completion. `cut`: it reached `max_tokens`. `tokens`: empty unless alternatives were requested.

    `reasoning`: what a reasoning model wrote before its answer; it is part of neither `text` nor `tokens`."""

    text: str
    cut: bool = False
    tokens: tuple[Token, ...] = ()
    reasoning: str = ""
    usage: Usage = field(default=Usage(), compare=False)


class Piece(NamedTuple):
    """A part of a completion as a generator streams it; the fields are those of `Completion`.

    `cut` and `usage` come with the last piece.

    `restart`: the text so far was reasoning; the answer begins with the text of this piece."""

    text: str
    tokens: Sequence[Token] = ()
    cut: bool = False
    reasoning: str = ""
    restart: bool = False
    usage: Usage = Usage()


class _Restart(str):
    """A piece without text that is no other piece."""

    __slots__ = ()


RESTART: str = _Restart()
"""A piece of text that a generator yields when all text so far was reasoning; compare with `is`."""


@dataclass(frozen=True, slots=True)
class Citations:
    """The passages that support an answer, by their numbers from 1 in `context`.

    `how`: "marked" by the generator, or "found" by the words of the answer; None without citations.
    `unknown`: numbers in the answer that name no passage of the prompt."""

    passages: tuple[int, ...] = ()
    how: Literal["marked", "found"] | None = None
    unknown: tuple[int, ...] = ()


LanguageCheck = Literal["off", "right", "cannot tell", "wrong", "asked again", "translated"]
"""The outcome of the language guard; "asked again" and "translated" are repaired answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, the passages that the generator read, in that order, and the trace of the work.

    `abstained`: the answer is the prompt's sentence for "not in the passages".
    `finish_reason`: "length" if the answer was cut at its limit. `reasoning`: of a reasoning model, or None.
    `strategy`: the name of the strategy; empty where a strategy was called directly."""

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
        """Return, in words, what is missing because a stage was unavailable."""
        return [str(note) for note in self.trace.degraded]


EventKind = Literal["ranked", "translated", "tagged", "refined", "piece", "restarted"]


class Event(NamedTuple):
    """Progress of one question: the passages after a step, or a piece of the answer.

    "restarted": the pieces so far are void; `text` is the reason."""

    kind: EventKind
    passages: tuple[TaggedPassage, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class PartialAnswer:
    """The work done for a request before its deadline: the latest passages and the text so far.

    Both are None where the request is for a single stage and not for an answer."""

    trace: Trace
    passages: tuple[TaggedPassage, ...] | None = None
    text: str | None = None

    def after(self, event: Event) -> PartialAnswer:
        """Return the partial answer after one more event."""
        match event.kind:
            case "piece":
                return replace(self, text=(self.text or "") + event.text)
            case "restarted":
                return replace(self, text="")
        return replace(self, passages=event.passages)


def ignore(event: Event) -> None:
    """Ignore an event."""
