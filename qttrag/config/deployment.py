"""One YAML file is one deployment: which models, which collections, which limits.

Precedence: flags, then environment (QTTRAG_DEPTH=20, QTTRAG_GENERATOR__BASE_URL=...), then the file. What goes over
changes single settings, except where it names another `kind:`: then nothing stays of what the old one was told. In a
file a string that begins with "./" or "../" is a path beside the file. API keys are never in it: `api_key_env` names
the environment variable that holds one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

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
from qttrag.errors import ConfigError

Spec = dict[str, Any]
_ENVIRONMENT = "QTTRAG_"


def _off(value: Any) -> Any:
    return "off" if value is False else value  # what YAML makes of a bare off


LanguageGuardMode = Annotated[Literal["off", "report", "repair"], BeforeValidator(_off)]
"""What is done about an answer in another language: nothing, say so, or ask again once and then translate it."""


class CacheSettings(BaseModel):
    """Where translations and completions are kept. `path`: null for the user's cache folder."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    path: Path | None = None
    max_bytes: int = Field(default=2_000_000_000, gt=0)

    @property
    def file(self) -> Path:
        return self.path or resources.cache_folder() / "cache.sqlite"


class Deployment(BaseModel):
    """What one running qttrag consists of. A stage's settings are those of its kind: `qttrag.application.registry`."""

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
    answer_tokens: int = Field(default=128, ge=1, le=8192)
    max_question_chars: int = Field(default=2000, ge=1)
    question_timeout: float | None = Field(default=None, gt=0)  # seconds; null for as long as it takes
    degrade: bool = True  # translator or tagger down: answer from what there is, and say so
    citations: bool = False  # ask answers for the numbers of their passages
    language_guard: LanguageGuardMode = "report"
    cache: CacheSettings = CacheSettings()
    server: ServerSettings = ServerSettings()


def load(value: str | Path, flags: Mapping[str, Any] | None = None) -> Deployment:
    """Return the deployment in the file `value`, or of that name in `server/`, under environment and flags.

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
    """Return what the environment sets of a deployment: QTTRAG_A__B=value is {"a": {"b": value}}."""
    given = {key: text for key, text in os.environ.items() if key.upper().startswith(_ENVIRONMENT)}
    named = {tuple(key[len(_ENVIRONMENT) :].lower().split("__")): key for key in sorted(given)}
    found: dict[str, Any] = {}
    for names, key in sorted(named.items()):  # a whole stage before its settings
        if names[0] in Deployment.model_fields:
            set_nested(found, names, given[key], where=key)
    return found
