"""`qttrag eval` in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qttrag.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `qttrag eval` with arguments; return the exit code, stdout (parsed if --json is given) and stderr."""
    monkeypatch.setenv("COLUMNS", "250")

    def call(*arguments: str | Path) -> tuple[int, Any, str]:
        monkeypatch.setattr("sys.argv", ["qttrag", "eval", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and not code else out, err

    return call
