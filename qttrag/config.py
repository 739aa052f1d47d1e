"""One YAML file is one deployment: which models, which collections, which limits.

Precedence: flags, then environment (QTTRAG_DEPTH=20, QTTRAG_GENERATOR__BASE_URL=...), then the file. What goes over
changes single settings, except where it names another `kind:`: then nothing stays of what the old one was told. In a
file a string that begins with "./" or "../" is a path beside the file. API keys are never in it: `api_key_env` names
the environment variable that holds one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from qttrag import resources
from qttrag.errors import ConfigError, unknown
from qttrag.server.settings import ServerSettings

Spec = dict[str, Any]
_ENVIRONMENT = "QTTRAG_"
_SECRET = re.compile(r"(key|token|secret|password|authorization)$", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


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
    """What one running qttrag consists of. A stage's settings are those of its kind: `qttrag.registry`."""

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
    data = over(over(beside(read_yaml(path), path.parent), _environment()), flags or {})
    try:
        return Deployment.model_validate(data)
    except ValidationError as error:
        parts: dict[str, type[BaseModel]] = {"cache": CacheSettings, "server": ServerSettings}
        where = complaint(error)["loc"]
        fields = parts.get(str(where[0]), Deployment).model_fields if len(where) > 1 else Deployment.model_fields
        raise ConfigError(explain(error, str(path), fields)) from error


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings `below` under those `above`: single ones change, a mapping of another kind wholly."""
    merged = dict(below)
    for name, value in above.items():
        merged[name] = over(merged[name], value) if _same_kind(merged.get(name), value) else value
    return merged


def _same_kind(below: Any, above: Any) -> bool:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return False
    return "kind" not in above or above["kind"] == below.get("kind", above["kind"])


def _environment() -> dict[str, Any]:
    """Return what the environment sets of a deployment: QTTRAG_A__B=value is {"a": {"b": value}}."""
    given = {key: text for key, text in os.environ.items() if key.upper().startswith(_ENVIRONMENT)}
    named = {tuple(key[len(_ENVIRONMENT) :].lower().split("__")): key for key in sorted(given)}
    found: dict[str, Any] = {}
    for names, key in sorted(named.items()):  # a whole stage before its settings
        if names[0] in Deployment.model_fields:
            put(found, names, given[key], where=key)
    return found


def put(nested: dict[str, Any], names: Sequence[str], text: str, *, where: str) -> None:
    """Set nested[a][b] for the names a, b to what `text` is in YAML: 5 is a number, true a truth, [a] a list.

    Raises:
        ConfigError: it is not YAML, or b is to be set of an a that is no mapping."""
    *path, last = names
    for name in path:
        nested = nested.setdefault(name, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"{where}: `{name}` is set to a value already, so that nothing in it can be set")
    try:
        nested[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: the value '{text}' is not YAML; quote it") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or is not a mapping; a key in it is not text."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of settings, is {type(data).__name__}")
    if no_text := [key for key in _keys(data) if not isinstance(key, str)]:
        raise ConfigError(f"{path}: the key {no_text[0]!r} is {type(no_text[0]).__name__}, not text; put it in quotes")
    return data


def _keys(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)


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
    words = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
    return f"{where}: `{name}: {first['input']!r}`: {words}"


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
