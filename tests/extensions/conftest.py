"""Installs the modules of this folder as another package would be, by its entry points."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from qttrag.application import registry


@pytest.fixture(autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    metadata = site / "extensions-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: extensions\nVersion: 1\n")
    shutil.copy(Path(__file__).with_name("entry_points.txt"), metadata)
    monkeypatch.syspath_prepend(site)
    registry.kinds.cache_clear()
    yield
    registry.kinds.cache_clear()
