"""Dataset files: their local paths, lines, records, documents and fields."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qttrag.errors import ConfigError, InputError, describe, not_installed
from qttrag.text.languages import language
from qttrag.types import UNDETERMINED, Lang, Passage

_Model = TypeVar("_Model", bound=BaseModel)


class HubFile(BaseModel):
    """A file of a dataset on the Hugging Face hub. `revision`: the full commit, so that the file cannot change."""

    model_config = ConfigDict(extra="forbid")
    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    file: str


_File = TypeVar("_File", str, HubFile, str | HubFile)


def file_in(file: _File, lang: str) -> _File:
    """Return a file with the language in its name: in place of "{lang}" its code, and of "{name}" its English name in
    lower case, as "korean"."""
    if isinstance(file, HubFile):
        return file.model_copy(update={"file": file_in(file.file, lang)})
    return file.replace("{lang}", lang).replace("{name}", language(lang).name.lower() if "{name}" in file else "")


def local_path(file: str | HubFile, lang: str | None = None) -> Path:
    """Return the local path of a file; a file on the hub is downloaded if it is not cached.

    `lang`: what "{lang}" in its name stands for.

    Raises:
        ConfigError: the file does not exist or cannot be downloaded."""
    if lang is not None:
        file = file_in(file, lang)
    if isinstance(file, HubFile):
        return _downloaded(file)
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"no dataset file '{file}'; correct `file:` (a path that starts with ./ is beside the suite)")
    return path


def _downloaded(file: HubFile) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a dataset of the Hugging Face hub", error)) from error
    try:
        return Path(hf_hub_download(file.repo, file.file, repo_type="dataset", revision=file.revision))
    except Exception as error:  # OSError is too narrow: its HTTP client and its storage raise errors of their own
        raise ConfigError(
            f"dataset file '{file.file}' of '{file.repo}' at {file.revision[:12]} could not be downloaded "
            f"({describe(error)}); correct `repo:`, `file:` or `revision:`, or name a local file"
        ) from error


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, line) for every line that is not blank; a file whose name ends in .gz is decompressed.

    Raises:
        InputError: a line is not UTF-8, or the file is not a whole gzip archive despite its name."""
    return ((f"{path}:{number}", line.strip()) for number, line in enumerate(text_lines(path), 1) if line.strip())


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file as they are; see `lines`."""
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}:{number}: not UTF-8 ({error}); convert the file to UTF-8") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}:{number + 1}: not a whole gzip archive ({error}); fetch the file again") from error


def records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, object) for every line of a JSONL file.

    Raises:
        InputError: a line is not a JSON object (`parsed`)."""
    for where, line in lines(path):
        record = parsed(where, line)
        if not isinstance(record, dict):
            raise InputError(f"{where}: a {type(record).__name__}, not an object; a dataset has one object per line")
        yield where, record


def document(path: Path, model: type[_Model]) -> _Model:
    """Return a file that is one JSON document, as a model.

    Raises:
        InputError: the file is not JSON, or does not have the fields of the model; the message names the place."""
    value = parsed(str(path), "".join(text_lines(path)))
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise InputError(f"{path}: `{place}`: {first['msg'].lower()}; this is not the dataset's format") from error


def parsed(where: str, text: str) -> Any:
    """Return the value that a JSON text stands for.

    Raises:
        InputError: it is not JSON, or has half of a surrogate pair ("\\ud83d"), which is no character."""
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # only an escape can be half of a pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("unicode-escape").decode()
        raise InputError(f"{where}: '{half}' is half of a character; correct this text") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({describe(error)}); correct the file") from error


def text_of(where: str, record: dict[str, Any], name: str) -> str:
    """Return the field `name`, a text that is not blank; an integer counts as a text, because ids may be numbers.

    Raises:
        InputError: the field is missing, blank or of another type."""
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: `{name}` must be a text, is {value!r} (fields of this record: {', '.join(record)})")
    return value


def texts_of(where: str, record: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return the texts of the field `name`, one text or a list, without blank and repeated ones.

    Raises:
        InputError: the field is missing, has no text, or has a value of another type."""
    value = record.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise InputError(
            f"{where}: `{name}` must be a list of texts, is {value!r} (fields of this record: {', '.join(record)})"
        )
    texts = tuple(dict.fromkeys(text for text in values if text.strip()))
    if not texts:
        raise InputError(f"{where}: `{name}` has no text; remove the question, it cannot be scored without an answer")
    return texts


def language_of(where: str, value: str) -> Lang:
    """Return the code of the language that `value` means.

    Raises:
        InputError: no language has that code or name; the message names the place."""
    try:
        return language(value).code
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def passages_of(where: str, record: dict[str, Any], lang: Lang = UNDETERMINED) -> tuple[Passage, ...]:
    """Return the field `passages`, texts or objects {"id", "title", "text", "lang"}; empty if it is absent.

    `lang`: the language of passages that do not state theirs.

    Raises:
        InputError: a passage has another form, or an unknown language."""
    values = record.get("passages") or []
    if not isinstance(values, list):
        raise InputError(f"{where}: `passages` must be a list, is {values!r}")
    return tuple(_passage(where, number, value, lang) for number, value in enumerate(values))


def _passage(where: str, number: int, value: Any, lang: Lang) -> Passage:
    fields = {"text": value} if isinstance(value, str) else value
    if not isinstance(fields, dict) or not all(each is None or isinstance(each, str) for each in fields.values()):
        raise InputError(f"{where}: a passage must be a text or an object of texts, is {value!r}")
    own = language_of(where, fields["lang"]) if fields.get("lang") else lang
    return Passage(fields.get("id") or str(number), fields.get("text") or "", own, fields.get("title") or "")
