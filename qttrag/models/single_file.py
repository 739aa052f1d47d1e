"""Models that are one file: a path, a folder with one such file, or a file of a repository on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError
from qttrag.models import hub, loading
from qttrag.models.loading import LocatedModel


class FileFormat(NamedTuple):
    """A format of model files. `suffixes`: of the files' names; `magic`: the first bytes; `remedy`: for other files."""

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    remedy: str


GGUF = FileFormat("GGUF", (".gguf",), b"GGUF", "convert the model with llama.cpp")
FASTTEXT = FileFormat("fastText", (".bin", ".ftz"), (793712314).to_bytes(4, "little"), "choose the .bin or .ftz file")


def locate(
    stage: str, model: str, form: FileFormat, *, file: str | None, revision: str | None, local_only: bool = False
) -> LocatedModel:
    """Return the file of `model` and its identity: a commit, or a digest of the file's size, beginning and end.

    `model`: a file, a folder or a name on the hub. `file`: which file of a folder or repository; None: the only one of
    a folder. `local_only`: download nothing.

    Raises:
        ConfigError: there is no such file, or it has another format."""
    path = Path(model).expanduser()
    if loading.is_hub_name(model) and not path.exists():
        if file is None:
            raise ConfigError(
                f"{stage}: `model: {model}` is on the hub; name one of its {form.name} files with `file:`"
            )
        path = hub.file(stage, model, file, revision, local_only=local_only)
        _check(stage, path, form)
        return LocatedModel(path, hub.snapshot(path, file).name)
    if path.is_dir():
        path = _only(stage, path, form, file)
    if not path.is_file():
        raise ConfigError(f"{stage}: no {form.name} file '{path}'; give a file, a folder, or a hub name 'owner/name'")
    _check(stage, path, form)
    return LocatedModel(path, revision or _digest(path))


def _check(stage: str, path: Path, form: FileFormat) -> None:
    with path.open("rb") as stream:
        if stream.read(len(form.magic)) != form.magic:
            raise ConfigError(f"{stage}: {path} is not a {form.name} file; {form.remedy}")


def _only(stage: str, folder: Path, form: FileFormat, file: str | None) -> Path:
    if file is not None:
        return folder / file
    files = sorted(path for path in folder.iterdir() if path.suffix in form.suffixes)
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise ConfigError(f"{stage}: {folder} must have one {form.name} file, or `file:` must name one (have: {names})")
    return files[0]


def _digest(path: Path) -> str:
    size, part = path.stat().st_size, 1 << 23
    digest = hashlib.blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as stream:
        digest.update(stream.read(part))
        stream.seek(max(0, size - part))
        digest.update(stream.read())
    return digest.hexdigest()
