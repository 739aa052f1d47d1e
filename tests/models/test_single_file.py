"""Finding models that are one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import ConfigError
from qttrag.models.single_file import GGUF, locate


def write(path: Path, content: bytes = b"GGUF and more") -> Path:
    path.write_bytes(content)
    return path


def found(model: Path, file: str | None = None) -> Path:
    return locate("generator", str(model), GGUF, file=file, revision=None).path


def test_a_file_and_the_folder_that_has_only_it_are_one_model(tmp_path: Path) -> None:
    file = write(tmp_path / "a.gguf")
    assert found(file) == found(tmp_path) == found(tmp_path, "a.gguf") == file


def test_of_several_files_one_must_be_named(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf")
    other = write(tmp_path / "b.gguf")
    with pytest.raises(ConfigError, match=r"must have one GGUF file, or `file:` must name one \(have: a.gguf, b.gguf"):
        found(tmp_path)
    assert found(tmp_path, "b.gguf") == other


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.gguf is not a GGUF file"):
        found(write(tmp_path / "a.gguf", b"PK"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no GGUF file '.*missing\.gguf'"):
        found(tmp_path / "missing.gguf")


def test_a_repository_needs_the_name_of_a_file() -> None:
    with pytest.raises(ConfigError, match=r"`model: owner/name` is on the hub; name one of its GGUF files"):
        locate("generator", "owner/name", GGUF, file=None, revision=None)


def test_a_file_of_the_hub_that_is_not_cached_says_how_to_fetch_it() -> None:
    with pytest.raises(ConfigError, match=r"'m\.gguf' of model 'owner/name' at revision 'v1' is not in the local"):
        locate("generator", "owner/name", GGUF, file="m.gguf", revision="v1", local_only=True)


def test_other_contents_are_another_model(tmp_path: Path) -> None:
    one, other = (
        locate("generator", str(write(tmp_path / name, b"GGUF" + end)), GGUF, file=None, revision=None).revision
        for name, end in (("a", b"1"), ("b", b"2"))
    )
    assert one != other
