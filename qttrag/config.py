"""One YAML file is one deployment: which models, which collections, which limits.

Precedence: flags, then environment (QTTRAG_DEPTH=20, QTTRAG_GENERATOR__BASE_URL=...), then the file. In a file a
string that begins with "./" or "../" is a path beside the file. API keys are never in it: `api_key_env` names the
environment variable that holds one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from qttrag import resources
from qttrag.errors import ConfigError, unknown

Spec = dict[str, Any]
_SECRET = re.compile(r"(key|token|secret|password|authorization)$", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


class CacheSettings(BaseModel):
    """Where translations, scores and completions are kept. `path`: null for the user's cache folder."""

    model_config = ConfigDict(extra="forbid")
    enabled: bool = True
    path: Path | None = None
    max_bytes: int = Field(default=2_000_000_000, gt=0)

    @property
    def file(self) -> Path:
        return self.path or resources.cache_folder() / "cache.sqlite"


class Deployment(BaseSettings):
    """What one running qttrag consists of. A stage's settings are those of its kind: `qttrag.registry`."""

    model_config = SettingsConfigDict(env_prefix="QTTRAG_", env_nested_delimiter="__", extra="forbid")
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
    cache: CacheSettings = CacheSettings()


def load(value: str | Path, flags: Mapping[str, Any] | None = None) -> Deployment:
    """Return the deployment in the file `value`, or of that name in `server/`, under environment and flags.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, a value of the wrong type."""
    path = resources.find("server", str(value), what="deployment")
    data = beside(read_yaml(path), path.parent)

    class Loaded(Deployment):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, data)

    try:
        return Loaded(**(flags or {}))
    except ValidationError as error:
        in_cache = len(complaint(error)["loc"]) > 1
        fields = CacheSettings.model_fields if in_cache else Deployment.model_fields
        raise ConfigError(explain(error, str(path), fields)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or is not a mapping."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of settings, is {type(data).__name__}")
    return data


def complaint(error: ValidationError) -> Any:
    """Return the error to tell of several: an unknown key first, for it is often what another one misses."""
    errors = error.errors()
    return next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])


def explain(error: ValidationError, where: str, fields: Mapping[str, Any]) -> str:
    """Return pydantic's complaint in our wording: the place, the value, the way out.

    `fields`: the names allowed where the complaint is."""
    first = complaint(error)
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{where}: {unknown('key', str(first['loc'][-1]), fields)}"
    if first["type"] == "missing":
        return f"{where}: `{name}:` is missing; add it"
    return f"{where}: `{name}: {first['input']!r}`: {first['msg'].lower()}"


def beside(value: Any, folder: Path) -> Any:
    """Return `value` with every string in it that begins with "./" or "../" made a path from `folder`."""
    if isinstance(value, dict):
        return {key: beside(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [beside(inner, folder) for inner in value]
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    return value


def hide_secrets(value: Any, name: str = "") -> Any:
    """Return `value` with whatever looks like a secret replaced by "***"."""
    if isinstance(value, dict):
        return {key: hide_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [hide_secrets(inner, name) for inner in value]
    if value and isinstance(value, str) and _SECRET.search(name):
        return "***"
    return _USERINFO.sub("***@", value) if isinstance(value, str) else value
