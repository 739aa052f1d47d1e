"""The demo as `make demo` sets it up, in a home of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import corpus
from demo.facts import LANGS
from qttrag.indexes import recipe
from tests.indexes.jobs.real_encoders import build

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A QTTRAG_HOME with the corpus and the four built collections."""
    home = tmp_path_factory.mktemp("demo")
    corpus.write(home / "data")
    (home / "indexes").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QTTRAG_HOME", str(home))
        for lang in LANGS:
            text = (ROOT / "indexes" / f"demo-{lang}.yaml").read_text("utf-8")
            text = text.replace("../demo/data", str(home / "data")).replace("../demo/models", str(ROOT / "demo/models"))
            path = home / "indexes" / f"demo-{lang}.yaml"
            path.write_text(text, "utf-8")
            build(recipe.load(path))
    return home


@pytest.fixture
def at_home(demo_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's collections are the ones that are found."""
    monkeypatch.setenv("QTTRAG_HOME", str(demo_home))
    monkeypatch.setenv("QTTRAG_CACHE__ENABLED", "false")
