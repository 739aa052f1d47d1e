"""The models of the tests are reproducible."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAKE = "import sys, pathlib; from tests import tiny_models; tiny_models.make_all(pathlib.Path(sys.argv[1]))"


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each model's tokenizer and weights."""
    files = [path for name in ("tokenizer.json", "model.safetensors") for path in folder.glob(f"*/{name}")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_another_process_builds_equal_models(tiny: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "17", "RAYON_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", MAKE, str(tmp_path)], env=environment, cwd=ROOT, check=True)
    assert len(sums(tiny)) == 8
    assert sums(tmp_path) == sums(tiny)
