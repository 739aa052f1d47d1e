"""The process in which files are read: `python -P -m qttrag.documents.reader_process`.

It reads requests from standard input, a JSON object per line, and forks for each: the child limits its own memory, time
and files, reads one file, writes JSON and ends. So a file can neither harm another one nor what asks for it."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from qttrag.documents.document import Code, DocumentError
from qttrag.documents.limits import DocumentLimits
from qttrag.documents.types import TYPES, check_head

_ANSWER_FACTOR = 12  # bytes of JSON per character at most: "\ud83d\ude00"
_OPEN_FILES = 64
_PIPE_BYTES = 1 << 16
_MAX_DEPTH = 500  # of Python's recursion: enough for any honest document


def main() -> None:
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _load(request["type"])
        sys.stdout.buffer.write(_in_child(request) + b"\n")
        sys.stdout.buffer.flush()


def _load(name: str) -> None:
    """Import what reads a type, once, before the fork; a package that is not installed is reported later."""
    for module in (*TYPES[name].packages, f"qttrag.documents.readers.{name}"):
        with suppress(ImportError):
            importlib.import_module(module)


def _in_child(request: dict[str, Any]) -> bytes:
    """Return the answer to one request, read by a child process."""
    limits = DocumentLimits(**request["limits"])
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(request, limits, writing)
    os.close(writing)
    answer = _all(reading, _ANSWER_FACTOR * limits.max_characters + _PIPE_BYTES)
    os.close(reading)
    if answer is None:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if answer is None:
        return _error("too_large", f"its text is longer than {limits.max_characters} characters")
    if status != 0:
        return _ended_early(status, limits)
    return answer


def _all(pipe: int, most: int) -> bytes | None:
    """Return what comes through a pipe; None if it is more than `most` bytes."""
    parts, size = [], 0
    while part := os.read(pipe, _PIPE_BYTES):
        parts.append(part)
        size += len(part)
        if size > most:
            return None
    return b"".join(parts)


def _ended_early(status: int, limits: DocumentLimits) -> bytes:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return _error("too_slow", f"reading it takes longer than {limits.seconds} s")
    return _error("crashed", "reading it crashed; the file is probably damaged")


def _child(request: dict[str, Any], limits: DocumentLimits, pipe: int) -> None:
    """Read the file and end this process."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _limit(limits)
        answer = _answer(Path(request["path"]), request["type"], limits)
        while answer:
            answer = answer[os.write(pipe, answer) :]
    except BaseException:  # no code of the parent may run in this process
        os._exit(1)
    os._exit(0)


def _limit(limits: DocumentLimits) -> None:
    sys.setrecursionlimit(_MAX_DEPTH)
    for limit, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (most, most))


def _answer(path: Path, name: str, limits: DocumentLimits) -> bytes:
    """Return a document as JSON, or its error."""
    try:
        check_head(path, TYPES[name])
        document = importlib.import_module(f"qttrag.documents.readers.{name}").read(path, limits)
        if sum(len(block.text) for block in document.blocks) > limits.max_characters:
            raise DocumentError("too_large", f"its text is longer than {limits.max_characters} characters")
        if not any(map(str.isalnum, (c for block in document.blocks for c in block.text))):
            raise DocumentError("no_text", "it has no text")
        return json.dumps({"document": document.as_json()}).encode()
    except DocumentError as error:
        return _error(error.code, str(error))
    except MemoryError:
        return _error("out_of_memory", f"reading it takes more than {limits.memory_bytes} bytes of memory")
    except RecursionError:
        return _error("unsafe", "its elements are nested too deeply")
    except Exception as error:
        return _error("broken", f"the file is damaged ({type(error).__name__}); save or download it again")


def _error(code: Code, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


if __name__ == "__main__":
    main()
