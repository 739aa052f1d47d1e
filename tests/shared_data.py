"""Test data outside the repository: in ../shared, or in the folder $QTTRAG_SHARED. Tests skip where it is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("QTTRAG_SHARED", Path(__file__).parents[2] / "shared"))
PREDICTIONS = FOLDER / "golden" / "predictions.jsonl.gz"
XOR_TYDI = FOLDER / "data" / "xor_tydi" / "xor_dev_full_v1_1.jsonl.gz"
TREC_RUNS = FOLDER / "data" / "runs"


def needs(path: Path) -> pytest.MarkDecorator:
    """Return a mark that skips a test where `path` does not exist."""
    return pytest.mark.skipif(not path.exists(), reason=f"needs data outside the repository: {path.name}")
