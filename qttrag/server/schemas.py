"""The bodies of requests and responses. Unknown fields of a request are rejected by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator

from qttrag.application import registry
from qttrag.errors import InputError, unknown
from qttrag.text.languages import language
from qttrag.types import AnswerStyle

_STRATEGIES = sorted(registry.kinds("strategy"))


def _known(what: str, known: list[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(unknown(what, value, known))
        return value

    return AfterValidator(check)


def _language_code(value: str) -> str:
    try:
        return language(value).code
    except InputError as error:
        raise ValueError(error.public) from error


def _not_empty(text: str) -> str:
    if not text.replace("\ufeff", "").strip():
        raise ValueError("is empty")
    return text


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return value


# Python counts data separators as white space and ECMA's \s does not; for the byte order mark it is the reverse.
NOT_BLANK = r"[^\s\u001c-\u001f\u0085]"
_TEXT = Annotated[str, AfterValidator(_not_empty), Field(json_schema_extra={"pattern": NOT_BLANK})]
Whole = Annotated[int, BeforeValidator(_number), Field(strict=False)]  # JSON does not distinguish 2.0 from 2
Positive = Annotated[Whole, Field(ge=1, json_schema_extra={"minimum": 1})]
LANG = Annotated[
    str,
    AfterValidator(_language_code),
    Field(description="A code or tag such as ko, ko-KR or zh-Hant", json_schema_extra={"pattern": NOT_BLANK}),
]
_STRATEGY = Annotated[str, _known("strategy", _STRATEGIES), Field(json_schema_extra={"enum": list[Any](_STRATEGIES)})]


Collections = Annotated[list[str], Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EarlierTurn(_Body):
    """A message before the question."""

    role: Literal["user", "assistant"]
    content: str


class AskBody(_Body):
    """`lang`: the language to answer in; null: detected from the question. `options`: of the strategy.

    `collections`: names of the deployment's collections to search; null: all. `answer_style`: a name, a number or a few
    words; one to three sentences; several paragraphs; null: as the deployment is set.
    `deadline`: seconds until the question is given up. `earlier`: the turns before the question, oldest first; the
    question is understood in their light. The newest that fit are read, as in chats."""

    question: _TEXT = Field(examples=["핀란드의 통화는 무엇입니까?"])
    lang: LANG | None = None
    strategy: _STRATEGY | None = None
    options: dict[str, Any] = {}
    collections: Collections | None = None
    depth: Positive | None = None
    top_k: Positive | None = None
    deadline: float | None = Field(default=None, ge=0.1)
    answer_style: AnswerStyle | None = None
    earlier: list[EarlierTurn] = []
    stream: bool = False


class Scores(BaseModel):
    """Quality scores of a translation, each from 0 to 5; null: the tagger does not measure it."""

    semantic: float
    grammar: float | None
    fluency: float | None


class CriticalErrorOut(BaseModel):
    """A likely critical error of a translation: numbers, names, negation or omission.

    `original`: the numbers or names of the original that the translation lacks."""

    kind: str
    original: list[str]


class PassageOut(BaseModel):
    """A passage as it was read. `n`: its number in the answer. `scores` null: an original, or see `unscored`.

    `file`, `page`, `headings`: the place in the document that it was cut from; null and empty for other passages.
    `original_names`: shown to the generator beside the translation, which hides them."""

    n: int
    passage_id: str
    title: str
    lang: str
    text: str
    translation: str | None
    scores: Scores | None
    unscored: str | None
    critical_errors: list[CriticalErrorOut]
    original_names: list[str]
    refined: str | None
    flags: list[str]
    score: float
    retrieved_rank: int
    file: str | None
    page: int | None
    headings: list[str]


class TraceOut(BaseModel):
    """Seconds by stage, counts by "stage.name", and notes on what was degraded, skipped or cut.

    `reasoning`: what reasoning models wrote before their replies, by stage."""

    seconds: dict[str, float]
    counts: dict[str, int]
    notes: list[str]
    degraded: list[str]
    reasoning: dict[str, list[str]]


class CitationsOut(BaseModel):
    """Passages the answer rests on, by `n`. `how`: "marked" by the generator, "found" by its words, or null: none.

    `unknown`: numbers in the answer that belong to no passage."""

    passages: list[int]
    how: str | None
    unknown: list[int]


class AskResponse(BaseModel):
    """`abstained`: the passages do not contain the answer. `degraded`: what is missing because a stage was unavailable.

    `collections`: the collections searched; null: all.
    `language_check`: off, right, cannot tell, wrong, asked again, translated. `finish_reason`: "length" if the answer
    was cut at its limit, else "stop". `reasoning`: what a reasoning model wrote before the answer, or null."""

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


class RetrieveRequest(_Body):
    """`collections`: names of the deployment's collections to search; null: all."""

    question: _TEXT
    lang: LANG | None = None
    collections: Collections | None = None
    depth: Positive | None = None
    top_k: Positive | None = None


class RetrieveResponse(BaseModel):
    lang: str
    passages: list[PassageOut]
    trace: TraceOut


class TranslateRequest(_Body):
    """`source`: the language of the texts; null: detected for each."""

    texts: list[_TEXT] = Field(min_length=1)
    target: LANG
    source: LANG | None = None


class TranslationOut(BaseModel):
    """`flags`: certain errors of the translation: empty, copied, loop, script, cut, refused; or unsupported: the
    translator does not support the languages, and `text` is the original."""

    text: str
    source: str
    flags: list[str]


class TranslateResponse(BaseModel):
    translations: list[TranslationOut]
    trace: TraceOut


class TagPair(_Body):
    original: _TEXT
    translation: str


class TagRequest(_Body):
    """`target`: the language of the translations; `source`: of the originals, null: detected."""

    pairs: list[TagPair] = Field(min_length=1)
    target: LANG
    source: LANG | None = None


class VerdictOut(BaseModel):
    scores: Scores | None
    unscored: str | None
    critical_errors: list[CriticalErrorOut]


class TagResponse(BaseModel):
    verdicts: list[VerdictOut]
    trace: TraceOut


class RerankRequest(BaseModel):
    """The body of Cohere's and Jina's rerank endpoints; their other fields are ignored."""

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


class FeedbackBody(_Body):
    """What somebody thinks of an answer. `request_id`: of the answer. `comment`: in their own words."""

    vote: Literal["up", "down"]
    comment: str = Field(default="", max_length=2000)
    question: _TEXT = Field(max_length=20_000)
    answer: str = Field(max_length=20_000)
    strategy: _STRATEGY
    lang: LANG | None = None
    request_id: str = Field(default="", max_length=64)


class EmbeddingsRequest(BaseModel):
    """OpenAI's request; `user` and unknown fields are ignored.

    `model`: the name of the service's encoder, or "encoder". `input_type`, or `prompt_name` as other servers call it:
    what the texts are, so that the prefix of the collections' questions or passages precedes each; null: no prefix.
    `dimensions`: null, or as many as the vectors have."""

    model_config = ConfigDict(extra="ignore", strict=True)
    model: str = Field(examples=["encoder"])
    input: Annotated[
        Annotated[_TEXT, Tag("text")] | Annotated[list[_TEXT], Field(min_length=1), Tag("texts")],
        Discriminator(lambda value: "text" if isinstance(value, str) else "texts"),
    ] = Field(examples=["Mikä on sauna?"])
    encoding_format: Literal["float", "base64"] | None = None
    input_type: Literal["query", "passage"] | None = None
    prompt_name: Literal["query", "passage"] | None = None
    dimensions: Positive | None = None

    @field_validator("input", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(first, int | list):
            raise ValueError("tokens cannot be read, as each encoder numbers its own; send text")
        return value


class Embedding(BaseModel):
    """`embedding`: numbers, or with `encoding_format: base64` float32 in little-endian order."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsNotes(BaseModel):
    """`truncated`: indexes of texts that are longer than the `max_tokens` that the encoder reads."""

    max_tokens: int
    truncated: list[int]


class EmbeddingsResponse(BaseModel):
    """`usage`: tokens that the encoder read."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
    qttrag: EmbeddingsNotes


class ReadyResponse(BaseModel):
    """`stages`: "ready", "loading" or "failed"."""

    ready: bool
    stages: dict[str, str]


class CollectionOut(BaseModel):
    """A collection of the deployment. `documents`: clients can change its documents."""

    name: str
    documents: bool


class CollectionsResponse(BaseModel):
    collections: list[CollectionOut]


class DocumentOut(BaseModel):
    """A document of a collection. `pages`: of a PDF file, or slides; null for types without pages."""

    id: str
    name: str
    type: str
    bytes: int
    pages: int | None
    passages: int
    languages: list[str]
    added: str


class DocumentsResponse(BaseModel):
    documents: list[DocumentOut]


class UploadResponse(BaseModel):
    job: str


class FileErrorOut(BaseModel):
    code: str
    message: str


class UploadedFileOut(BaseModel):
    """A file of an upload. "indexed": its passages can be found. `error`: why it failed."""

    name: str
    state: Literal["waiting", "indexed", "unchanged", "failed"]
    passages: int
    error: FileErrorOut | None


class JobResponse(BaseModel):
    """The progress of an upload. `done`, `total`: files while they are read, then passages while they are encoded."""

    job: str
    state: Literal["waiting", "reading", "encoding", "done", "failed"]
    done: int
    total: int
    files: list[UploadedFileOut]


class DeletedResponse(BaseModel):
    deleted: str
