"""Where a dataset's file is, and its lines."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from qttrag.errors import ConfigError, InputError, not_installed


class HubFile(BaseModel):
    """A file of a dataset on the Hugging Face hub. `revision`: the full commit, so that it stays the same file."""

    model_config = ConfigDict(extra="forbid")
    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    file: str


def located(file: str | HubFile) -> Path:
    """Return the local path of a file, fetched first where it is on the hub and was not before.

    Raises:
        ConfigError: it is not there, or cannot be fetched."""
    if isinstance(file, HubFile):
        return _fetched(file)
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"no dataset file '{file}'; correct `file:` (paths are beside the suite)")
    return path


def _fetched(file: HubFile) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a dataset of the Hugging Face hub", error)) from error
    try:
        return Path(hf_hub_download(file.repo, file.file, repo_type="dataset", revision=file.revision))
    except Exception as error:  # not OSError alone: errors of its HTTP client and of its storage come through too
        words = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
        raise ConfigError(
            f"dataset file '{file.file}' of '{file.repo}' at {file.revision[:12]} could not be fetched "
            f"({type(error).__name__}: {words}); correct `repo:`, `file:` or `revision:`, or name a local file"
        ) from error


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, line) of each line that is not blank; a file whose name ends in .gz is unpacked.

    Raises:
        InputError: it is not UTF-8, or not the archive that its name says."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if text:
                    yield f"{path}:{number}", text
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}; give a text file in UTF-8") from error


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) of each line of a JSONL file.

    Raises:
        InputError: a line is not a JSON object."""
    for where, line in lines(path):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error}); a dataset has one object a line") from error
        if not isinstance(record, dict):
            raise InputError(f"{where}: a {type(record).__name__}, not an object; a dataset has one object a line")
        yield where, record


def text_of(where: str, record: dict[str, Any], name: str) -> str:
    """Return the field `name`, a text that is not blank; numbers count as texts, for ids.

    Raises:
        InputError: it is missing, blank or neither."""
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: `{name}` must be a text, is {value!r} (fields here: {', '.join(record)})")
    return value


def texts_of(where: str, record: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return the field `name`, one text or a list of one at least, without blank ones and repetitions.

    Raises:
        InputError: it is missing, has none, or something else in it."""
    value = record.get(name)
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise InputError(f"{where}: `{name}` must be a list of texts, is {value!r} (fields: {', '.join(record)})")
    kept = tuple(dict.fromkeys(each for each in listed if each.strip()))
    if not kept:
        raise InputError(f"{where}: `{name}` has no text; a question without an answer cannot be scored: leave it out")
    return kept
