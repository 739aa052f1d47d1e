"""One YAML file is one deployment: which models, which collections, which limits.

Precedence: flags, then environment (QTTRAG_DEPTH=20, QTTRAG_GENERATOR__BASE_URL=...), then the file. A higher level
overrides single settings, but one that names another `kind:` replaces all settings of the old kind. In a file, a string
that begins with "./" or "../" is a path relative to the file. API keys are never in the file: `api_key_env` names the
environment variable of a key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from qttrag import resources
from qttrag.config.server_settings import ServerSettings
from qttrag.config.yaml_files import (
    complaint,
    explain,
    fields_at,
    merge_settings,
    read_yaml,
    resolve_relative_paths,
    set_nested,
)
from qttrag.errors import ConfigError, InputError
from qttrag.text.languages import language
from qttrag.types import ANSWER_TOKENS, AnswerStyle

Spec = dict[str, Any]
_ENVIRONMENT = "QTTRAG_"


def _off(value: Any) -> Any:
    return "off" if value is False else value  # YAML reads a bare off as false


LanguageGuardMode = Annotated[Literal["off", "report", "repair"], BeforeValidator(_off)]
"""For an answer in the wrong language: do nothing, report it, or ask again once and then translate it."""

OriginalNamesMode = Annotated[Literal["off", "as_written", "latin"], BeforeValidator(_off)]
"""For the names of a passage that its translation loses or writes in another script: hide them, or show them beside it
as the original writes them, or in Latin letters."""


_OF_FILES = frozenset({"path", "max_bytes"})
_OF_SERVERS = frozenset({"ttl", "timeout", "max_value_bytes"})


class CacheSettings(BaseModel):
    """The cache of translations and completions; a URL alone stands for `url`.

    `path`: of a file, null for the one in the user's cache folder; `max_bytes`: of its content. `url`: of a server that
    several nodes share, in place of a file: redis://, rediss:// or unix://. Its entries expire after `ttl` seconds
    (null: never); a command may take `timeout` seconds; values above `max_value_bytes` are not stored."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    path: Path | None = None
    max_bytes: int = Field(default=2_000_000_000, gt=0)
    url: str | None = Field(default=None, pattern=r"^(rediss?|unix)://")
    ttl: int | None = Field(default=None, gt=0)
    timeout: float = Field(default=0.5, gt=0)
    max_value_bytes: int = Field(default=1_000_000, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_cache(self) -> Self:
        foreign = _OF_SERVERS if self.url is None else _OF_FILES
        defaults = type(self).model_fields
        if given := sorted(name for name in foreign if getattr(self, name) != defaults[name].default):
            what = "a server, with `url:`" if self.url is None else "a file, without `url:`"
            raise ValueError(f"`{given[0]}:` is a setting of a cache in {what}; remove one of them")
        return self

    @property
    def file(self) -> Path:
        return self.path or resources.cache_folder() / "cache.sqlite"


class Deployment(BaseModel):
    """The settings of one running qttrag. A stage's settings are those of its kind (`qttrag.application.registry`)."""

    model_config = ConfigDict(extra="forbid")
    retriever: Spec
    reranker: Spec = {"kind": "none"}
    detector: Spec = {"kind": "script"}
    translator: Spec | None = None
    tagger: Spec | None = None
    generator: Spec
    strategy: str = "qtt_rag"
    strategies: dict[str, Spec] = {}
    depth: int = Field(default=50, ge=1, le=1000)  # passages retrieved and reranked
    top_k: int = Field(default=5, ge=1, le=100)  # passages read
    answer_style: AnswerStyle = "short"  # or sentences, report
    answer_tokens: int | None = Field(default=None, ge=1, le=8192)  # null: by the style, 128 for short answers
    max_question_chars: int = Field(default=2000, ge=1)
    question_timeout: float | None = Field(default=None, gt=0)  # seconds; null: no limit
    degrade: bool = True  # translator or tagger unavailable: answer without it and report that
    extractive: bool = False  # short answers are copied from the passages, word for word (generators in this process)
    citations: bool = False  # ask the generator for the numbers of the passages it used
    abstain: bool = True  # ask the generator to say where the passages do not have the answer
    labels: Literal["query", "english"] = "query"  # the language of the labels of passages and question in the prompt
    language_guard: LanguageGuardMode = "report"
    original_names: OriginalNamesMode = "off"  # names that a translation hides, shown beside it
    examples: dict[str, list[str]] = {}  # questions by language that the page offers
    cache: CacheSettings = CacheSettings()
    server: ServerSettings = ServerSettings()

    @field_validator("examples")
    @classmethod
    def _are_questions(cls, examples: dict[str, list[str]]) -> dict[str, list[str]]:
        try:
            checked = {str(language(lang).code): questions for lang, questions in examples.items()}
        except InputError as error:
            raise ValueError(str(error)) from error
        for lang, questions in checked.items():
            if blank := [number for number, question in enumerate(questions, 1) if not question.strip()]:
                raise ValueError(f"question {blank[0]} in '{lang}' is empty")
        return checked

    def max_answer_tokens(self, style: AnswerStyle) -> int:
        """Return the most tokens of an answer: `answer_tokens`, or else what the style needs."""
        return self.answer_tokens or ANSWER_TOKENS[style]


def load(value: str | Path, flags: Mapping[str, Any] | None = None) -> Deployment:
    """Return the deployment in the file `value`, or of that name in `server/`, with environment and flags applied.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, a value of the wrong type."""
    path = resources.find("server", str(value), what="deployment")
    data = merge_settings(
        merge_settings(resolve_relative_paths(read_yaml(path), path.parent), _environment()), flags or {}
    )
    try:
        return Deployment.model_validate(data)
    except ValidationError as error:
        fields = fields_at(Deployment, complaint(error)["loc"])
        raise ConfigError(explain(error, str(path), fields)) from error


def _environment() -> dict[str, Any]:
    """Return the settings of a deployment from the environment: QTTRAG_A__B=value is {"a": {"b": value}}."""
    variables = {key: text for key, text in os.environ.items() if key.upper().startswith(_ENVIRONMENT)}
    paths = {tuple(key[len(_ENVIRONMENT) :].lower().split("__")): key for key in sorted(variables)}
    settings: dict[str, Any] = {}
    for names, key in sorted(paths.items()):  # a whole stage before its single settings
        if names[0] in Deployment.model_fields:
            set_nested(settings, names, variables[key], where=key)
    return settings
