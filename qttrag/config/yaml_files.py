"""Settings in YAML files: reading, merging, setting by name, and error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from qttrag.errors import ConfigError, unknown

_SECRET = re.compile(r"(key|token|secret|password|authorization)$", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


def merge_settings(below: Mapping[str, Any], above: Mapping[str, Any], *, across_kinds: bool = False) -> dict[str, Any]:
    """Return the settings `below`, overridden by those `above`, mappings key by key.

    A mapping with another `kind` replaces the one below as a whole, unless `across_kinds`."""
    merged = dict(below)
    for name, value in above.items():
        if _can_merge(merged.get(name), value, across_kinds):
            merged[name] = merge_settings(merged[name], value, across_kinds=across_kinds)
        else:
            merged[name] = value
    return merged


def _can_merge(below: Any, above: Any, across_kinds: bool) -> bool:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return False
    return across_kinds or "kind" not in above or above["kind"] == below.get("kind", above["kind"])


def set_nested(nested: dict[str, Any], names: Sequence[str], text: str, *, where: str) -> None:
    """Set nested[a][b] for the names a, b to `text`, parsed as YAML: 5 is a number, true a boolean, [a] a list.

    Raises:
        ConfigError: the text is not YAML, or nested[a] is not a mapping."""
    *path, last = names
    for name in path:
        nested = nested.setdefault(name, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"{where}: `{name}` is set to a single value, which has no settings")
    try:
        nested[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: the value '{text}' is not YAML; quote it") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        ConfigError: the file cannot be read, is not YAML or not a mapping, or has a key that is not text."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must be a mapping of settings, is {type(data).__name__}")
    if invalid := [key for key in _keys(data) if not isinstance(key, str)]:
        raise ConfigError(f"{path}: the key {invalid[0]!r} is {type(invalid[0]).__name__}, not text; put it in quotes")
    return data


def _keys(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)


def complaint(error: ValidationError) -> Any:
    """Return the error to report first: that of an unknown key, often a misspelling of a key reported as missing."""
    errors = error.errors()
    return next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])


def explain(error: ValidationError, where: str, fields: Mapping[str, Any]) -> str:
    """Return pydantic's error in our wording: the place, the value, the remedy.

    `fields`: the valid names at that place."""
    first = complaint(error)
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"{where}: {unknown('key', str(first['loc'][-1]), fields)}"
    if first["type"] == "missing":
        return f"{where}: `{name}:` is missing; add it"
    words = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
    return f"{where}: `{name}: {hide_secrets(first['input'])!r}`: {words}"


def fields_at(model: type[BaseModel], location: Sequence[int | str]) -> Mapping[str, Any]:
    """Return the fields of the model, nested in `model`, that holds the setting at `location` (pydantic's `loc`)."""
    for name in location[:-1]:
        inner = model.model_fields[str(name)].annotation if str(name) in model.model_fields else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else model
    return model.model_fields


def resolve_relative_paths(value: Any, folder: Path) -> Any:
    """Return `value` with each string that begins with "./" or "../" resolved as a path relative to `folder`."""
    if isinstance(value, dict):
        return {key: resolve_relative_paths(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve_relative_paths(inner, folder) for inner in value]
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    return value


def hide_secrets(value: Any, name: str = "") -> Any:
    """Return `value` with passwords in URLs and the values of keys, tokens and the like replaced by "***"."""
    if isinstance(value, dict):
        return {key: hide_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [hide_secrets(inner, name) for inner in value]
    if value and isinstance(value, str) and _SECRET.search(name):
        return "***"
    return _USERINFO.sub("***@", value) if isinstance(value, str) else value
