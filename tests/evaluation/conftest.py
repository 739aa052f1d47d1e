"""`qttrag eval` in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `qttrag eval` with the given words; return the exit code and what was printed, read as JSON if it is."""
    monkeypatch.setenv("COLUMNS", "250")

    def call(*words: str | Path) -> tuple[int, Any, str]:
        monkeypatch.setattr("sys.argv", ["qttrag", "eval", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in words and not code else out, err

    return call
