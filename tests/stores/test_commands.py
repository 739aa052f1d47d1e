"""`qttrag index export`, `tune --store` and `build --store`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.errors import CollectionError
from tests import deployment
from tests.indexes import synthetic
from tests.stores import databases


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: object) -> Any:
    result = CliRunner().invoke(app, ["index", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_exported_index_is_tuned_in_the_store(folder: Path) -> None:
    synthetic.index(synthetic.vectors(60), "Flat")
    address = f"milvus:{folder / 'milvus.db'}"
    exported = run("export", "synthetic", "--to", address)
    assert (exported["store"], exported["rows"], exported["tuned"]) == ("milvus", 60, None)
    tuned = run("tune", "synthetic", "--store", address, "-k", 10, "-n", 20)["tuned"]
    assert tuned["recall"] == 1.0
    assert run("export", "synthetic", "--to", address)["tuned"] == tuned


def test_a_build_writes_the_index_into_a_store(folder: Path, tiny: Path) -> None:
    recipe = deployment.write_recipe(folder, tiny, n=4)
    assert run("build", recipe, "--store", f"milvus:{folder / 'milvus.db'}")["rows"] == 4
    assert databases.store("milvus", folder, "mixed").manifest.rows == 4


def test_a_build_whose_export_was_interrupted_goes_on_with_the_export(folder: Path, tiny: Path) -> None:
    recipe = deployment.write_recipe(folder, tiny, n=4)
    built = run("build", recipe)
    command = ("build", recipe, "--store", f"milvus:{folder / 'milvus.db'}")
    assert run(*command) == built
    exported = databases.store("milvus", folder, "mixed").manifest
    assert exported.rows == 4
    run(*command)
    assert databases.store("milvus", folder, "mixed").manifest == exported


def test_a_build_of_another_recipe_is_not_exported_in_its_place(folder: Path, tiny: Path) -> None:
    run("build", deployment.write_recipe(folder, tiny, n=4))
    other = deployment.write_recipe(folder, tiny, n=4, encoder={"max_tokens": 16})
    result = CliRunner().invoke(app, ["index", "build", str(other), "--store", f"milvus:{folder / 'milvus.db'}"])
    assert isinstance(result.exception, CollectionError)
    assert "already exists" in str(result.exception)
