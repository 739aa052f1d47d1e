"""Setting `revision:` next to a `model:` in a YAML file; every other byte of the file stays unchanged.

The parsed nodes give the position, and the line is inserted as text. The result is parsed again and must differ from
the original in this one setting only. docs/design/pinning-revisions.md says why no YAML library rewrites the file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from qttrag import resources


def pin(path: Path, keys: Sequence[str], model: str, revision: str) -> bool:
    """Set `revision:` in the mapping under `keys` of a YAML file, atomically; return whether it was set.

    It is not set in files of the installed package, in files without write permission, or where the mapping in the
    file has no `model: MODEL` of its own (which may come from the environment or a merge key)."""
    path = path.resolve()
    if resources.is_packaged(path) or not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return False
    edited = pinned(path.read_bytes().decode("utf-8"), keys, model, revision)
    if edited is None:
        return False
    temporary_path = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary_path.write_bytes(edited.encode("utf-8"))
    shutil.copymode(path, temporary_path)
    temporary_path.replace(path)
    return True


def pinned(text: str, keys: Sequence[str], model: str, revision: str) -> str | None:
    """Return the YAML `text` with that revision, or None if one insertion cannot set it."""
    expected = yaml.safe_load(text)
    inner = expected
    for key in keys:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if not isinstance(inner, dict) or inner.get("model") != model:
        return None
    inner["revision"] = revision  # also in mappings that are aliases of this one, as in the text
    edited = _insert(text, keys, revision)
    try:
        return edited if edited is not None and yaml.safe_load(edited) == expected else None
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
    """Return the nodes of a key and its value, or (None, None)."""
    for name, value in mapping.value if isinstance(mapping, yaml.MappingNode) else []:
        if name.value == key:
            return name, value
    return None, None
