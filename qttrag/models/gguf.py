"""Language models in GGUF files: a file, a folder with one, or a file of a repository on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qttrag.errors import ConfigError
from qttrag.models import hub, loading
from qttrag.models.loading import LocatedModel


def locate(stage: str, model: str, *, file: str | None, revision: str | None, local_only: bool = False) -> LocatedModel:
    """Return the GGUF file of `model` and its identity: a commit, or a digest of the file's size, beginning and end.

    `model`: a file, a folder or a name on the hub. `file`: which file of a folder or repository; None: the only one of
    a folder. `local_only`: download nothing.

    Raises:
        ConfigError: there is no such file, or it is not GGUF."""
    path = Path(model).expanduser()
    if loading.is_hub_name(model) and not path.exists():
        if file is None:
            raise ConfigError(f"{stage}: `model: {model}` is on the hub; name one of its GGUF files with `file:`")
        path = hub.file(stage, model, file, revision, local_only=local_only)
        return LocatedModel(path, hub.snapshot(path, file).name)
    if path.is_dir():
        path = _only(stage, path, file)
    if not path.is_file():
        raise ConfigError(f"{stage}: no GGUF file '{path}'; give a file, a folder, or a hub name 'owner/name'")
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ConfigError(f"{stage}: {path} is not a GGUF file; convert the model with llama.cpp")
    return LocatedModel(path, revision or _digest(path))


def _only(stage: str, folder: Path, file: str | None) -> Path:
    if file is not None:
        return folder / file
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise ConfigError(f"{stage}: {folder} must have one GGUF file, or `file:` must name one (have: {names})")
    return files[0]


def _digest(path: Path) -> str:
    size, part = path.stat().st_size, 1 << 23
    digest = hashlib.blake2b(str(size).encode(), digest_size=8)
    with path.open("rb") as stream:
        digest.update(stream.read(part))
        stream.seek(max(0, size - part))
        digest.update(stream.read())
    return digest.hexdigest()
