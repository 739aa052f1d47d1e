"""Writing `revision:` beside a `model:` in a YAML file, and nothing else: comments and layout stay as they are.

The place is found in the parsed text and the line is inserted as text, so that what was not asked for cannot change;
the outcome is parsed again and must differ in that one setting.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from qttrag import resources


def pin(path: Path, keys: Sequence[str], model: str, revision: str) -> bool:
    """Set `revision:` in the mapping under `keys` of a YAML file, in one step.

    Return whether it was done: not in the package's own files or where writing is not allowed, nor where the file
    does not say `model: MODEL` there (the environment may, or a merge key)."""
    path = path.resolve()
    if resources.is_packaged(path) or not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return False
    edited = pinned(path.read_bytes().decode("utf-8"), keys, model, revision)
    if edited is None:
        return False
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    aside.write_bytes(edited.encode("utf-8"))
    shutil.copymode(path, aside)
    aside.replace(path)
    return True


def pinned(text: str, keys: Sequence[str], model: str, revision: str) -> str | None:
    """Return the YAML `text` with that revision, or None where it cannot be set by one insertion."""
    wanted = yaml.safe_load(text)
    inner = wanted
    for key in keys:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or inner.get("model") != model:
        return None
    inner["revision"] = revision  # in the mappings that share it by an alias too, as in the text
    edited = _insert(text, keys, revision)
    try:
        return edited if edited is not None and yaml.safe_load(edited) == wanted else None
    except yaml.YAMLError:
        return None


def _insert(text: str, keys: Sequence[str], revision: str) -> str | None:
    mapping: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in keys:
        _, mapping = _entry(mapping, key)
    name, value = _entry(mapping, "model")
    _, old = _entry(mapping, "revision")
    if not isinstance(mapping, yaml.MappingNode) or name is None or value is None:
        return None
    written = revision if yaml.safe_load(revision) == revision else f'"{revision}"'  # all digits are a number
    if old is not None:
        start = old.start_mark.index
        return text[:start] + " " * (text[start - 1] == ":") + written + text[old.end_mark.index :]
    end = value.end_mark.index
    if mapping.flow_style:
        return f"{text[:end]}, revision: {written}{text[end:]}"
    line_end = text.find("\n", end)
    head, tail = (text + "\n", "") if line_end < 0 else (text[: line_end + 1], text[line_end + 1 :])
    newline = "\r\n" if head.endswith("\r\n") else "\n"
    return f"{head}{' ' * name.start_mark.column}revision: {written}{newline}{tail}"


def _entry(mapping: yaml.Node | None, key: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the nodes of a key and its value."""
    for name, value in mapping.value if isinstance(mapping, yaml.MappingNode) else []:
        if name.value == key:
            return name, value
    return None, None
