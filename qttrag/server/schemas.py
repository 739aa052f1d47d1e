"""Requests and answers of the service as they travel. Unknown fields of a request are refused with their name."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

_TEXT = Annotated[str, Field(min_length=1)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AskRequest(_Request):
    """`lang`: the language to answer in; detected from the question when null. `options`: of the strategy.

    `deadline`: seconds after which the answer is of no use any more."""

    question: _TEXT = Field(examples=["핀란드의 통화는 무엇입니까?"])
    lang: str | None = None
    strategy: str | None = None
    options: dict[str, Any] = {}
    depth: int | None = Field(default=None, ge=1)
    top_k: int | None = Field(default=None, ge=1)
    deadline: float | None = Field(default=None, gt=0)
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
    """Seconds by stage, counts as "stage.what", and notes on what was degraded, skipped or cut."""

    seconds: dict[str, float]
    counts: dict[str, int]
    notes: list[str]


class AskResponse(BaseModel):
    question: str
    lang: str
    strategy: str
    answer: str
    passages: list[PassageOut]
    trace: TraceOut
    request_id: str


class RetrieveRequest(_Request):
    question: _TEXT
    lang: str | None = None
    depth: int | None = Field(default=None, ge=1)
    top_k: int | None = Field(default=None, ge=1)


class RetrieveResponse(BaseModel):
    lang: str
    passages: list[PassageOut]
    trace: TraceOut


class TranslateRequest(_Request):
    """`source`: the language of the texts; detected one by one when null."""

    texts: list[_TEXT] = Field(min_length=1)
    target: str
    source: str | None = None


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
    target: str
    source: str | None = None


class VerdictOut(BaseModel):
    scores: Scores | None
    unscored: str | None


class TagResponse(BaseModel):
    verdicts: list[VerdictOut]
    trace: TraceOut


class RerankRequest(BaseModel):
    """As Cohere's and Jina's rerank endpoints take it; fields they have and qttrag does not need are ignored."""

    model_config = ConfigDict(extra="ignore")
    query: _TEXT
    documents: list[str | dict[str, str]] = Field(min_length=1)
    top_n: int | None = Field(default=None, ge=1)
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
