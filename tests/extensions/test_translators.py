"""A translator of another model family is one file: here SMaLL-100, registered by entry points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qttrag.application import registry
from qttrag.types import Lang
from tests import tiny_models
from tests.texts import sentences
from tests.translators.engines import outputs

EN, KO, FI = map(Lang, ("en", "ko", "fi"))
KINDS = ["small100", "small100_transformers"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_m2m100(tmp_path_factory.mktemp("checkpoints") / "small100")


def translator(kind: str, checkpoint: Path) -> Any:
    exact = {"compute_type": "float32"} if kind == "small100" else {}
    return registry.resolve("translator", kind)(str(checkpoint), device="cpu", beam_size=1, **exact)


async def test_both_engines_give_the_same_tokens_under_greedy_search(checkpoint: Path) -> None:
    first, second = [await outputs(translator(kind, checkpoint), sentences("en", 20), EN, KO) for kind in KINDS]
    assert first == second
    assert len({token for output in first for token in output.tokens}) > 50


async def test_the_target_language_reaches_the_model(checkpoint: Path) -> None:
    engine = translator("small100", checkpoint)
    korean, finnish = [await engine.translate(sentences("en", 5), [EN] * 5, target) for target in (KO, FI)]
    assert all(a.text != b.text for a, b in zip(korean, finnish, strict=True))


def test_each_engine_has_its_own_identity(checkpoint: Path) -> None:
    assert [translator(kind, checkpoint).identity.split(":")[0] for kind in KINDS] == KINDS
