"""What people say about answers, in a file of JSON lines."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class FeedbackFull(Exception):
    """The file has reached its limit."""


class FeedbackFile:
    """Appends records, each a line with its time (UTC). The file is readable by its owner alone.

    `max_bytes`: of the file, which other processes may append to, too."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes

    async def append(self, record: Mapping[str, Any]) -> None:
        """Write one record.

        Raises:
            FeedbackFull: the file would exceed its limit.
            OSError: it cannot be written."""
        stamped = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **record}
        line = json.dumps(stamped, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        await asyncio.to_thread(self._write, line)

    def _write(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > self._max_bytes:
                raise FeedbackFull(f"{self._path}: larger than {self._max_bytes} bytes with one more record")
            os.write(file, line)  # one call, so that lines of several processes do not mix
        finally:
            os.close(file)
