"""The mean vector of each language of an index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.encoders import language_means
from qttrag.errors import CollectionError
from qttrag.indexes.collection import find, open_index, verify
from qttrag.indexes.jobs.append import recipe_for_file
from qttrag.indexes.jobs.compact import compact
from qttrag.indexes.jobs.measure_means import measure_means
from qttrag.indexes.jobs.remove import remove
from qttrag.types import Lang
from tests import deployment
from tests.indexes import synthetic
from tests.indexes.jobs.real_encoders import append

VECTORS = synthetic.vectors(250)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    return tmp_path / "indexes" / "built" / "synthetic"


def test_a_mean_is_that_of_the_stored_vectors_of_its_language() -> None:
    synthetic.index(VECTORS, "Flat")
    _, means = measure_means("synthetic")
    assert means.langs == ("en", "fi", "ko", "zh")
    stored = VECTORS.astype(np.float16).astype(np.float64)
    for lang, count in zip(means.langs, means.counts, strict=True):
        own = stored[synthetic.LANGS.index(lang) :: 4]
        assert count == len(own)
        mean = means.of(lang)
        assert mean is not None
        np.testing.assert_allclose(mean, own.mean(axis=0), atol=1e-7)


def test_a_language_without_passages_has_no_mean() -> None:
    synthetic.index(VECTORS, "Flat")
    _, means = measure_means("synthetic")
    assert means.of(Lang("de")) is None


def test_removed_passages_do_not_count() -> None:
    synthetic.index(VECTORS, "Flat")
    remove("synthetic", [f"p{row:04d}" for row in range(0, 40, 4)])
    _, means = measure_means("synthetic")
    mean = means.of(synthetic.LANGS[0])
    assert mean is not None
    np.testing.assert_allclose(mean, VECTORS[40::4].astype(np.float16).astype(np.float64).mean(axis=0), atol=1e-7)


def test_means_are_stored_with_the_index_and_verified(home: Path) -> None:
    synthetic.index(VECTORS, "Flat")
    manifest, means = measure_means("synthetic")
    stored = language_means.read(home)
    assert (stored.langs, stored.counts, stored.revision) == (means.langs, means.counts, "none")
    assert (stored.vectors == means.vectors).all()
    (name,) = [name for name in manifest.files if name.startswith("means-")]
    assert verify("synthetic") == []
    (home / name).write_bytes((home / name).read_bytes()[:-1])
    assert name in verify("synthetic")[0]


def test_measuring_again_replaces_the_means(home: Path) -> None:
    synthetic.index(VECTORS, "Flat")
    first, _ = measure_means("synthetic")
    remove("synthetic", ["p0000"])
    second, _ = measure_means("synthetic")
    assert len(first.files.keys() - second.files.keys()) == 1
    assert len(list(home.glob("means-*"))) == 1
    assert open_index("synthetic").manifest.files == second.files


def test_appended_passages_leave_the_means_as_they_are(tmp_path: Path, tiny: Path) -> None:
    deployment.build(tmp_path, tiny)
    measured, means = measure_means("mixed")
    more = deployment.write_source(tmp_path / "more.jsonl", n=48)
    after = append("mixed", recipe_for_file("mixed", more), on_error="skip")
    assert after.rows == measured.rows + 8
    assert (language_means.read(find("mixed").folder).vectors == means.vectors).all()
    assert verify("mixed") == []


def test_a_compacted_index_has_the_means_of_its_passages() -> None:
    synthetic.index(VECTORS, "Flat")
    measure_means("synthetic")
    remove("synthetic", [f"p{row:04d}" for row in range(0, 40, 4)])
    compact("synthetic")
    stored = language_means.read(find("synthetic").folder)
    _, measured = measure_means("synthetic")
    assert stored.counts == measured.counts
    np.testing.assert_allclose(stored.vectors, measured.vectors, atol=1e-7)
    assert verify("synthetic") == []


def test_an_index_without_means_is_compacted_without_them() -> None:
    synthetic.index(VECTORS, "Flat")
    remove("synthetic", ["p0000"])
    compact("synthetic")
    with pytest.raises(CollectionError, match="qttrag index measure-means synthetic"):
        language_means.read(find("synthetic").folder)
    assert measure_means("synthetic")[1].counts[0] == 62


def test_traditional_chinese_has_the_mean_of_chinese() -> None:
    synthetic.index(VECTORS, "Flat")
    _, means = measure_means("synthetic")
    chinese, traditional = means.of(Lang("zh")), means.of(Lang("zh-Hant"))
    assert chinese is not None
    assert traditional is not None
    assert (chinese == traditional).all()


def test_damaged_means_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "means-1.npz"
    path.write_bytes(b"PK not a zip file")
    with pytest.raises(CollectionError, match=r"means-1\.npz: damaged"):
        language_means.read(path)


def test_a_folder_without_means_says_how_to_measure_them(home: Path) -> None:
    synthetic.index(VECTORS, "Flat")
    with pytest.raises(CollectionError, match="qttrag index measure-means synthetic"):
        language_means.read(home)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "means-1.npz"
    langs = np.array(["en", {"a": 1}], dtype=object)
    np.savez(path, langs=langs, counts=np.zeros(2, int), vectors=np.zeros((2, 4), np.float32), revision=np.array("r"))
    with pytest.raises(CollectionError, match="damaged"):
        language_means.read(path)


def test_the_command_says_how_many_passages_a_mean_has() -> None:
    synthetic.index(VECTORS, "Flat")
    result = CliRunner().invoke(app, ["index", "measure-means", "synthetic", "--json"])
    assert result.exit_code == 0, result.output
    assert [(row["lang"], row["passages"]) for row in json.loads(result.stdout)] == [
        ("en", 63),
        ("fi", 62),
        ("ko", 63),
        ("zh", 62),
    ]
