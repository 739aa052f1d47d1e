from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qttrag.errors import ConfigError
from qttrag.runtime.cache import Cache, content_key
from qttrag.trace import Trace

WRITER = """
import sys
from pathlib import Path
from qttrag.runtime.cache import Cache, content_key
cache = Cache(Path(sys.argv[1]))
print("ready", flush=True)
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    cache.put_many("translation", {content_key({"n": n}): f"value {n}"})
    print(n, flush=True)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache.sqlite")


def key(n: int) -> bytes:
    return content_key({"n": n})


def test_stored_values_are_returned_and_the_rest_is_none(cache: Cache) -> None:
    cache.put_many("translation", {key(1): "yksi", key(2): "kaksi"})
    assert cache.get_many("translation", [key(2), key(3), key(1)]) == ["kaksi", None, "yksi"]


def test_kinds_are_separate(cache: Cache) -> None:
    cache.put_many("translation", {key(1): "yksi"})
    assert cache.get_many("completion", [key(1)]) == [None]


def test_a_key_depends_on_every_part_but_not_on_their_order() -> None:
    assert content_key({"a": 1, "b": "2"}) == content_key({"b": "2", "a": 1})
    assert len({content_key({"a": 1}), content_key({"a": "1"}), content_key({"b": 1}), content_key({"a": 1.5})}) == 4


def test_any_text_is_returned_unchanged(cache: Cache) -> None:
    texts = ["", "한국어\n中文 \u0000 \U0001f600", "x" * 100_000]
    cache.put_many("completion", {key(n): text for n, text in enumerate(texts)})
    assert cache.get_many("completion", [key(n) for n in range(3)]) == texts


def test_thousands_of_keys_are_read_in_one_call(cache: Cache) -> None:
    cache.put_many("translation", {key(n): str(n) for n in range(3000)})
    assert cache.get_many("translation", [key(n) for n in range(3001)]) == [*map(str, range(3000)), None]


def test_a_second_value_replaces_the_first_and_is_counted_once(cache: Cache) -> None:
    cache.put_many("translation", {key(1): "a" * 1000})
    cache.put_many("translation", {key(1): "b"})
    info = cache.info()["translation"]
    assert info.entries == 1
    assert info.bytes < 200


def test_above_its_size_the_least_recently_used_entries_are_deleted(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite", max_bytes=50_000)
    for n in range(200):
        cache.put_many("translation", {key(n): "x" * 1000})
        time.sleep(0.0005)
    assert cache.info()["translation"].bytes <= 50_000
    assert cache.get_many("translation", [key(199), key(0)]) == ["x" * 1000, None]


def test_clearing_one_kind_keeps_the_other(cache: Cache) -> None:
    cache.put_many("translation", {key(1): "yksi"})
    cache.put_many("completion", {key(1): "one"})
    assert cache.clear("translation") == 1
    assert set(cache.info()) == {"completion"}


def test_clearing_releases_the_space(cache: Cache) -> None:
    cache.put_many("completion", {key(n): "x" * 10_000 for n in range(300)})
    cache.clear()
    cache.close()
    assert cache.path.stat().st_size < 200_000


def test_a_file_that_is_no_cache_is_rejected_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_text("this is not a database, whatever its name says " * 100)
    with pytest.raises(ConfigError, match=r"cache\.sqlite.*set another file"):
        Cache(path).info()
    assert path.read_text().startswith("this is not")


def test_a_cache_of_a_later_layout_is_rejected_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="layout 99"):
        Cache(path).info()


def _start_writer(path: Path, first: int, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(last)], stdout=subprocess.PIPE, text=True
    )


def test_writes_of_several_processes_are_all_stored(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    writers = [_start_writer(path, n * 100, n * 100 + 100) for n in range(4)]
    assert [writer.communicate(timeout=120) and writer.returncode for writer in writers] == [0, 0, 0, 0]
    cache = Cache(path)
    assert cache.get_many("translation", [key(n) for n in range(400)]) == [f"value {n}" for n in range(400)]
    assert cache.info()["translation"].entries == 400


def test_a_killed_writer_loses_nothing_that_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    r = random.Random(0)
    reported: list[int] = []
    for attempt in range(5):
        writer = _start_writer(path, attempt * 100_000, (attempt + 1) * 100_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(r.uniform(0.01, 0.2))
        os.kill(writer.pid, signal.SIGKILL)
        reported += [int(line) for line in writer.stdout.read().splitlines() if line.isdigit()][:-1]
        writer.wait()
    cache = Cache(path)
    assert len(reported) > 5
    assert cache.get_many("translation", [key(n) for n in reported]) == [f"value {n}" for n in reported]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert (
            connection.execute("SELECT SUM(bytes) FROM entries").fetchone()
            == connection.execute("SELECT bytes FROM totals").fetchone()
        )


def test_a_cache_locked_by_another_process_stores_nothing_and_adds_one_note(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.sqlite", wait_s=0.1)
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    trace = Trace()
    with trace.stage("translate"):
        assert cache.get_many("translation", [key(1)]) == [None]
        cache.put_many("translation", {key(1): "yksi"})
        cache.put_many("translation", {key(2): "kaksi"})
    other.close()
    assert trace.notes == [
        f"the cache cannot be {done}: {cache.path}: database is locked" for done in ("read", "written")
    ]


def test_a_cache_damaged_during_use_loses_its_entries_but_not_the_answer(cache: Cache) -> None:
    cache.put_many("completion", {key(n): "x" * 1000 for n in range(200)})
    cache.close()
    content = bytearray(cache.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    cache.path.write_bytes(content)
    again, trace = Cache(cache.path), Trace()
    with trace.stage("answer"):
        assert again.get_many("completion", [key(1)]) == [None]
        again.put_many("completion", {key(1): "y"})
    assert [note.rsplit(": ", 1)[1] for note in trace.notes] == ["database disk image is malformed"] * 2


def test_a_damaged_cache_is_reported_as_damaged_every_time_and_not_as_locked(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(b"not a database " * 500)
    for _ in range(2):
        with pytest.raises(ConfigError, match="file is not a database"):
            Cache(path).info()
