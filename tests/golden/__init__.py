"""Golden scores: pairs of predictions and references with the scores of other scorers.

answers.jsonl        378 pairs in 12 languages, written for this project, with the scores of the research harness and of
                     the official scorers of MKQA and XOR-TyDi (F1, EM)
xor_tydi_bleu.json   their BLEU by NLTK 3.10 (`sentence_bleu`), which XOR-TyDi's official scorer calls"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


def answers() -> list[dict[str, Any]]:
    """Return the pairs with all their scores."""
    rows = [json.loads(line) for line in (_FOLDER / "answers.jsonl").read_text("utf-8").splitlines()]
    bleu = json.loads((_FOLDER / "xor_tydi_bleu.json").read_text("utf-8"))
    return [{**row, "xor_tydi": {**row["xor_tydi"], "bleu": b}} for row, b in zip(rows, bleu, strict=True)]
