"""A cache of results by content key, in one SQLite file that several processes may share."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from qttrag.errors import ConfigError
from qttrag.runtime.result_cache import CacheUnusable, KindInfo, failure_as_note

KINDS = ("translation", "completion")
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
  kind TEXT NOT NULL, key BLOB NOT NULL, value TEXT NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL,
  PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_used ON entries (used);
CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO totals VALUES (1, 0);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON entries
  BEGIN UPDATE totals SET bytes = bytes + new.bytes; END;
CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON entries
  BEGIN UPDATE totals SET bytes = bytes - old.bytes; END;
"""
_ROW_OVERHEAD = 64  # bytes, an estimate: a row's key, kind, time stamp and unused page space
_FRESH_S = 60.0  # the time of use is updated only after this long, so that most reads write nothing
_VARIABLES = 500  # keys in one SELECT, well under SQLite's limit
_PAUSE_S = 30.0  # after a failure, without which each call of an answer would wait for the file in turn


def content_key(parts: Mapping[str, object]) -> bytes:
    """Return a digest of everything that a result depends on. Values are JSON; the order of names is irrelevant."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).digest()


class Cache:
    """A least-recently-used cache of texts, by kind ("translation", "completion") and content key.

    It is safe with several processes and threads and against a kill at any moment: SQLite in WAL mode, one transaction
    per write. A power failure may lose the last writes, never the file.
    Above `max_bytes` of content, the least recently used entries are deleted.
    A lock of another process is waited for `wait_s` seconds. An answer does not depend on its cache: a result that
    cannot be read or stored is computed again, with a note.
    """

    def __init__(self, path: Path, *, max_bytes: int = 2_000_000_000, wait_s: float = 10.0) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._failure = ""
        self._paused_until = 0.0

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def limit(self) -> str:
        return f"at most {self.max_bytes / 1e6:,.0f} MB"

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection, to one thread at a time; a failure closes it, and no other is opened for a while."""
        with self._lock:
            if time.monotonic() < self._paused_until:
                raise self._unusable()
            try:
                if self._connection is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._connection = self._connect()
                yield self._connection
            except (OSError, sqlite3.Error) as error:
                self._close()  # rolls back a transaction in progress
                self._failure, self._paused_until = str(error), time.monotonic() + _PAUSE_S
                raise self._unusable() from error
            except BaseException:
                self._close()
                raise

    def _unusable(self) -> CacheUnusable:
        remedy = "set another file in `cache: {path: ...}` or delete this one"
        return CacheUnusable(self.location, self._failure, remedy)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self._wait_s, check_same_thread=False, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # first: it has no effect unless the file is empty
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise ConfigError(
                f"cache {self.path} has layout {version}, this version of qttrag reads {SCHEMA_VERSION}; "
                "delete it or set another file in `cache: {path: ...}`"
            )
        connection.execute("BEGIN IMMEDIATE")
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def get_many(self, kind: str, keys: Sequence[bytes]) -> list[str | None]:
        """Return the value of each key, in the keys' order; None: no entry, or the file cannot be read.

        Raises:
            ConfigError: the file has another layout."""
        values: dict[bytes, str] = {}
        stale: list[bytes] = []
        now = time.time()
        with failure_as_note("read"), self._opened() as connection:
            for start in range(0, len(keys), _VARIABLES):
                part = keys[start : start + _VARIABLES]
                marks = ",".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT key, value, used FROM entries WHERE kind = ? AND key IN ({marks})",  # noqa: S608
                    (kind, *part),
                )
                for key, value, used in rows:
                    values[key] = value
                    if now - used > _FRESH_S:
                        stale.append(key)
        if stale:
            with failure_as_note("written"), self._opened() as connection:
                self._write(
                    connection,
                    "UPDATE entries SET used = ? WHERE kind = ? AND key = ?",
                    [(now, kind, key) for key in stale],
                )
        return [values.get(key) for key in keys]

    def put_many(self, kind: str, items: Mapping[bytes, str]) -> None:
        """Store each value under its key, in place of an earlier one; if the file cannot be written, store nothing.

        Raises:
            ConfigError: the file has another layout."""
        now = time.time()
        rows = [
            (kind, key, value, len(value.encode("utf-8", "surrogatepass")) + _ROW_OVERHEAD, now)
            for key, value in items.items()
        ]
        with failure_as_note("written"), self._opened() as connection:
            # delete and insert, not REPLACE, so that the triggers of the totals run for both
            self._write(
                connection,
                "DELETE FROM entries WHERE kind = ? AND key = ?",
                [(kind, key) for key in items],
                ("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows),
            )

    def _write(
        self,
        connection: sqlite3.Connection,
        statement: str,
        rows: Sequence[tuple[object, ...]],
        then: tuple[str, Sequence[tuple[object, ...]]] | None = None,
    ) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(statement, rows)
        if then:
            connection.executemany(*then)
            self._evict(connection)
        connection.execute("COMMIT")

    def _evict(self, connection: sqlite3.Connection) -> None:
        (total,) = connection.execute("SELECT bytes FROM totals").fetchone()
        if total <= self.max_bytes:
            return
        excess = total - int(self.max_bytes * 0.9)  # a tenth at once, so that evictions are rare
        evicted = []
        for kind, key, size in connection.execute("SELECT kind, key, bytes FROM entries ORDER BY used"):
            evicted.append((kind, key))
            excess -= size
            if excess <= 0:
                break
        connection.executemany("DELETE FROM entries WHERE kind = ? AND key = ?", evicted)

    def info(self) -> dict[str, KindInfo]:
        """Return the number of entries and bytes of content by kind."""
        with self._opened() as connection:
            rows = connection.execute("SELECT kind, COUNT(*), SUM(bytes) FROM entries GROUP BY kind")
            return {kind: KindInfo(entries, size) for kind, entries, size in rows}

    def clear(self, kind: str | None = None) -> int:
        """Delete every entry, or those of one kind; return how many."""
        with self._opened() as connection:
            where, values = ("WHERE kind = ?", (kind,)) if kind else ("", ())
            removed = connection.execute(f"DELETE FROM entries {where}", values).rowcount  # noqa: S608
            # executescript: execute would run one step of it, which frees one page
            connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
            return removed

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _statements(script: str) -> list[str]:
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
