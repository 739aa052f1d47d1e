"""Requests and answers of the service as they travel. Unknown fields of a request are refused with their name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from qttrag.application import registry
from qttrag.errors import unknown
from qttrag.text.languages import LANGUAGES

_CODES = [str(code) for code in LANGUAGES]
_STRATEGIES = sorted(registry.kinds("strategy"))


def _known(what: str, known: list[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(unknown(what, value, known))
        return value

    return AfterValidator(check)


def _said(text: str) -> str:
    if not text.replace("\ufeff", "").strip():
        raise ValueError("is empty")
    return text


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return value


# Separators of data are white space to Python and not to ECMA's \s, the byte order mark the other way round.
SAYS_SOMETHING = r"[^\s\u001c-\u001f\u0085]"
_TEXT = Annotated[str, AfterValidator(_said), Field(json_schema_extra={"pattern": SAYS_SOMETHING})]
Whole = Annotated[int, BeforeValidator(_number), Field(strict=False)]  # in JSON 2.0 is as whole as 2
Positive = Annotated[Whole, Field(ge=1, json_schema_extra={"minimum": 1})]
_LANG = Annotated[str, _known("language", _CODES), Field(json_schema_extra={"enum": list[Any](_CODES)})]
_STRATEGY = Annotated[str, _known("strategy", _STRATEGIES), Field(json_schema_extra={"enum": list[Any](_STRATEGIES)})]


Collections = Annotated[list[str], Field(min_length=1)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AskRequest(_Request):
    """`lang`: the language to answer in; detected from the question when null. `options`: of the strategy.

    `collections`: search only these of the deployment's, by their names; all of them when null.
    `deadline`: seconds after which the answer is of no use any more."""

    question: _TEXT = Field(examples=["핀란드의 통화는 무엇입니까?"])
    lang: _LANG | None = None
    strategy: _STRATEGY | None = None
    options: dict[str, Any] = {}
    collections: Collections | None = None
    depth: Positive | None = None
    top_k: Positive | None = None
    deadline: float | None = Field(default=None, ge=0.1)
    stream: bool = False


class Scores(BaseModel):
    """Quality scores of a translation, each from 0 to 5."""

    semantic: float
    grammar: float
    fluency: float


class PassageOut(BaseModel):
    """A passage as it was read. `n` is what the answer calls it; `scores` null: an original, or see `unscored`."""

    n: int
    passage_id: str
    title: str
    lang: str
    text: str
    translation: str | None
    scores: Scores | None
    unscored: str | None
    refined: str | None
    flags: list[str]
    score: float
    retrieved_rank: int


class TraceOut(BaseModel):
    """Seconds by stage, counts as "stage.what", and notes on what was degraded, skipped or cut.

    `reasoning`: what reasoning models wrote before their replies, by stage."""

    seconds: dict[str, float]
    counts: dict[str, int]
    notes: list[str]
    degraded: list[str]
    reasoning: dict[str, list[str]]


class CitationsOut(BaseModel):
    """Passages the answer rests on, by `n`. `how`: "marked" by the generator, "found" by its words, or null: none.

    `unknown`: numbers the generator gave that name no passage."""

    passages: list[int]
    how: str | None
    unknown: list[int]


class AskResponse(BaseModel):
    """`abstained`: it says that the passages do not hold the answer. `degraded`: what is missing as a stage was down.

    `collections`: those that were searched; null: all.
    `language_check`: off, right, cannot tell, wrong, asked again, translated.
    `finish_reason`: "length" where the answer was cut at its limit. `reasoning`: what a reasoning model wrote before
    the answer; null without."""

    question: str
    lang: str
    strategy: str
    collections: list[str] | None
    answer: str
    finish_reason: Literal["stop", "length"]
    reasoning: str | None
    abstained: bool
    citations: CitationsOut
    language_check: str
    degraded: list[str]
    passages: list[PassageOut]
    trace: TraceOut
    request_id: str


class RetrieveRequest(_Request):
    """`collections`: search only these of the deployment's, by their names; all of them when null."""

    question: _TEXT
    lang: _LANG | None = None
    collections: Collections | None = None
    depth: Positive | None = None
    top_k: Positive | None = None


class RetrieveResponse(BaseModel):
    lang: str
    passages: list[PassageOut]
    trace: TraceOut


class TranslateRequest(_Request):
    """`source`: the language of the texts; detected one by one when null."""

    texts: list[_TEXT] = Field(min_length=1)
    target: _LANG
    source: _LANG | None = None


class TranslationOut(BaseModel):
    """`flags` name what is surely wrong with it: empty, copied, loop, script."""

    text: str
    source: str
    flags: list[str]


class TranslateResponse(BaseModel):
    translations: list[TranslationOut]
    trace: TraceOut


class TagPair(_Request):
    original: _TEXT
    translation: str


class TagRequest(_Request):
    """`target`: the language of the translations; `source`: that of the originals, detected when null."""

    pairs: list[TagPair] = Field(min_length=1)
    target: _LANG
    source: _LANG | None = None


class VerdictOut(BaseModel):
    scores: Scores | None
    unscored: str | None


class TagResponse(BaseModel):
    verdicts: list[VerdictOut]
    trace: TraceOut


class RerankRequest(BaseModel):
    """As Cohere's and Jina's rerank endpoints take it; fields they have and qttrag does not need are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)
    query: _TEXT
    documents: list[str | dict[str, str]] = Field(min_length=1)
    top_n: Positive | None = None
    model: str | None = None
    return_documents: bool = False


class Ranked(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, str] | None = None


class RerankResponse(BaseModel):
    id: str
    model: str
    results: list[Ranked]


class ReadyResponse(BaseModel):
    """`stages`: "ready", "loading", or what is wrong."""

    ready: bool
    stages: dict[str, str]
