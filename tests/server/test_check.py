"""`qttrag serve --check`, on a built collection."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qttrag.cli import app
from qttrag.errors import CollectionError
from qttrag.indexes.collection import find
from tests import deployment


@pytest.fixture
def config(tmp_path: Path, tiny: Path) -> Path:
    deployment.build(tmp_path, tiny, n=4)
    return deployment.write_deployment(tmp_path, tiny)


def check(config: Path | str, *more: str) -> Result:
    return CliRunner().invoke(app, ["serve", "-c", str(config), "--check", *more])


def test_check_says_what_it_opened(config: Path) -> None:
    result = check(config)
    assert result.exit_code == 0
    assert "valid; serves http://127.0.0.1:8080/ with strategy qtt_rag" in result.output
    assert "opened mixed: 4 passages, " in result.output


def test_check_fails_where_a_file_of_a_collection_is_damaged(config: Path) -> None:
    (find("mixed").folder / "faiss.index").write_bytes(b"no index")
    assert "faiss.index" in str(check(config).exception)


def test_check_names_all_missing_collections() -> None:
    result = check("served")
    assert isinstance(result.exception, CollectionError)
    assert all(f"'{name}'" in str(result.exception) for name in ("wiki-en", "wiki-ko"))


def test_an_address_that_others_reach_may_be_served_without_keys_on_demand(config: Path) -> None:
    assert check(config, "--host", "0.0.0.0", "--without-keys").exit_code == 0
