"""A complete deployment with the tiny models: a collection in four languages and a deployment file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.texts import LANGS, facts

RECIPE = "mixed"


def write_source(path: Path, *, n: int = 40) -> Path:
    """Write `n` passages as JSON lines, in turn in each of LANGS."""
    with path.open("w", encoding="utf-8") as file:
        for number, fact in enumerate(facts(n, seed=5)):
            lang = LANGS[number % len(LANGS)]
            record = {"id": f"{lang}-{number}", "title": f"T{number}", "text": fact.say(lang), "lang": lang}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def write_recipe(
    folder: Path, tiny: Path, *, n: int = 40, name: str = RECIPE, encoder: Mapping[str, object] | None = None
) -> Path:
    """Write a recipe and its source. `encoder`: further settings of its encoder."""
    write_source(folder / f"{name}.jsonl", n=n)
    recipe = {
        "source": {"kind": "jsonl", "path": f"./{name}.jsonl"},
        "encoder": {"model": str(tiny / "encoder"), "device": "cpu", **(encoder or {})},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def encoder(tiny: Path) -> dict[str, object]:
    """Return the settings of the tiny encoder."""
    return {"kind": "sentence_transformers", "model": str(tiny / "encoder"), "device": "cpu"}


def write_deployment(folder: Path, tiny: Path, **changes: object) -> Path:
    deployment = {
        "retriever": {"kind": "dense", "encoder": encoder(tiny), "collections": [RECIPE]},
        "reranker": {"kind": "cross_encoder", "model": str(tiny / "reranker"), "device": "cpu"},
        "translator": {"kind": "nllb", "model": str(tiny / "nllb"), "device": "cpu"},
        "tagger": {"kind": "llm"},
        "generator": {"kind": "transformers", "model": str(tiny / "llama"), "device": "cpu"},
        "depth": 10,
        "answer_tokens": 16,
        **changes,
    }
    path = folder / "deployment.yaml"
    path.write_text(yaml.safe_dump(deployment), encoding="utf-8")
    return path


def build(
    folder: Path, tiny: Path, *, n: int = 40, name: str = RECIPE, encoder: Mapping[str, object] | None = None
) -> None:
    """Build a collection under $QTTRAG_HOME."""
    from qttrag.indexes import recipe
    from tests.indexes.jobs.real_encoders import build as build_index

    build_index(recipe.load(write_recipe(folder, tiny, n=n, name=name, encoder=encoder)))
