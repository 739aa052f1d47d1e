"""Run a step of a benchmark in a process of its own, and measure its time and memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal


def run(step: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Return the results of a step with `load` (average at its start), `seconds`, `most` (peak of its own memory),
    `anonymous` and `mapped` (its own and mapped memory at its end), in bytes.

    Raises:
        SystemExit: the step failed; its traceback is on stderr."""
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(send, step, arguments))
    process.start()
    send.close()
    try:
        results: dict[str, Any] = receive.recv()
    except EOFError:
        raise SystemExit(f"{step.__name__} failed") from None
    process.join()
    print(f"# {step.__name__}: {json.dumps(results, default=str)}", file=sys.stderr, flush=True)
    return results


def _run(send: Any, step: Callable[..., dict[str, Any]], arguments: tuple[Any, ...]) -> None:
    peak, finished = [0], threading.Event()

    def watch() -> None:
        while not finished.wait(0.1):
            peak[0] = max(peak[0], _memory("RssAnon"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    load, start = os.getloadavg()[0], time.perf_counter()
    results = step(*arguments)
    finished.set()
    watcher.join()
    measured = {"load": load, "seconds": time.perf_counter() - start, "most": peak[0]}
    send.send({**measured, "anonymous": _memory("RssAnon"), "mapped": _memory("RssFile"), **results})


def _memory(kind: Literal["RssAnon", "RssFile"]) -> int:
    """Return the bytes of this process's own memory (RssAnon), or of files that it maps (RssFile)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))
