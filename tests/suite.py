"""A suite on the tiny models: questions in two languages, three strategies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from qttrag.evaluation.runs import scoring
from qttrag.evaluation.runs.figures import as_document
from qttrag.evaluation.runs.folder import open_run
from tests import deployment
from tests.texts import facts

STRATEGIES = ("base", "cross_rag", "qtt_rag")


def write_questions(path: Path, n: int) -> Path:
    """Write `n` questions in Korean and `n` in Finnish about the years in the sentences of the collection."""
    with path.open("w", encoding="utf-8") as file:
        for lang in ("ko", "fi"):
            for number, fact in enumerate(facts(n, seed=7)):
                question = fact.say(lang).replace(fact.year, "?")
                gold = f"{lang}-{number}"
                record = {"id": f"{lang}{number}", "question": question, "answers": [fact.year], "lang": lang}
                file.write(json.dumps({**record, "gold": [gold]}, ensure_ascii=False) + "\n")
    return path


def write_suite(folder: Path, tiny: Path, *, n: int = 4, **changes: Any) -> Path:
    """Write a suite with its questions and its deployment, whose collection `deployment.build` builds."""
    write_questions(folder / "questions.jsonl", n)
    suite = {
        "deployment": str(deployment.write_deployment(folder, tiny)),
        "datasets": {"mine": {"kind": "jsonl", "file": "./questions.jsonl", "langs": ["ko", "fi"]}},
        "strategies": {name: {} for name in STRATEGIES},
        "headline": {"of": "qtt_rag", "over": "cross_rag"},
        "in_flight": 1,  # an untrained translator never ends, and its batch decides where it is cut off
        **changes,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    return path


def figures(folder: Path) -> dict[str, Any]:
    """Return what equal runs have in common: all figures but those of the cost."""
    opened = open_run(folder)
    data = as_document(opened, scoring.score(opened)).model_dump(mode="json")
    for cell in data["cells"]:
        for name in ("seconds", "cache_hits", "translated", "calls", "prompt_tokens", "completion_tokens"):
            cell["figures"].pop(name, None)
    return data


def lines(folder: Path) -> int:
    """Return the number of records of a run."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("answers/*/*/*.jsonl"))
