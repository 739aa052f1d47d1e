"""The command line, as users run it: a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def qttrag(*words: str | Path) -> str:
    """Run `qttrag` with its arguments and return what it prints.

    Raises:
        AssertionError: it failed; the message has its errors."""
    command = [sys.executable, "-m", "qttrag", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
