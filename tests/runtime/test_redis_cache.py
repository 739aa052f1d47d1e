from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from qttrag.config.deployment import CacheSettings
from qttrag.errors import ConfigError
from qttrag.runtime.cache import Cache, content_key
from qttrag.runtime.open_cache import open_cache
from qttrag.runtime.redis_cache import RedisCache
from qttrag.runtime.result_cache import CacheUnusable
from qttrag.runtime.single_flight import CachedCalls
from qttrag.testing import FakeTranslator
from qttrag.trace import Trace
from qttrag.translators.cached import CachedTranslator
from qttrag.types import Lang
from tests.redis_server import RedisServer, free_port


def key(n: int) -> bytes:
    return content_key({"n": n})


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def cache(server: redis.Redis, redis_server: RedisServer) -> Iterator[RedisCache]:
    cache = RedisCache(redis_server.url, timeout=5)
    yield cache
    cache.close()


def test_stored_values_are_returned_and_the_rest_is_none(cache: RedisCache) -> None:
    cache.put_many("translation", {key(1): "yksi", key(2): "kaksi"})
    assert cache.get_many("translation", [key(2), key(3), key(1)]) == ["kaksi", None, "yksi"]


def test_no_keys_are_no_command(cache: RedisCache) -> None:
    assert cache.get_many("translation", []) == []
    cache.put_many("translation", {})


def test_any_text_is_returned_unchanged(cache: RedisCache) -> None:
    texts = ["", "한국어\n中文 \u0000 \U0001f600", "x" * 100_000, "\ud800"]
    cache.put_many("completion", {key(n): text for n, text in enumerate(texts)})
    assert cache.get_many("completion", [key(n) for n in range(4)]) == texts


def test_thousands_of_keys_are_read_and_written_in_one_call(cache: RedisCache) -> None:
    cache.put_many("translation", {key(n): str(n) for n in range(3000)})
    assert cache.get_many("translation", [key(n) for n in range(3001)]) == [*map(str, range(3000)), None]


def test_kinds_are_separate_and_cleared_apart(cache: RedisCache) -> None:
    cache.put_many("translation", {key(1): "yksi"})
    cache.put_many("completion", {key(1): "one", key(2): "two"})
    assert {kind: tuple(info) for kind, info in cache.info().items()} == {"translation": (1, 4), "completion": (2, 6)}
    assert cache.clear("completion") == 2
    assert cache.get_many("translation", [key(1)]) == ["yksi"]
    assert cache.get_many("completion", [key(1)]) == [None]


def test_clearing_leaves_the_keys_of_other_programs(cache: RedisCache, server: redis.Redis) -> None:
    server.set("another program's", "value")
    cache.put_many("translation", {key(1): "yksi"})
    assert cache.clear() == 1
    assert server.keys() == [b"another program's"]


def test_its_keys_are_those_of_the_sqlite_cache(cache: RedisCache, server: redis.Redis) -> None:
    cache.put_many("translation", {key(1): "yksi"})
    assert server.keys() == [b"qttrag:1:translation:" + key(1)]


def test_entries_expire_after_their_time_to_live(server: redis.Redis, redis_server: RedisServer) -> None:
    cache = RedisCache(redis_server.url, ttl=60)
    cache.put_many("translation", {key(1): "yksi"})
    names: Any = server.keys()
    left: Any = server.ttl(names[0])
    assert 0 < left <= 60
    cache.close()


def test_a_value_that_is_too_large_is_counted_and_not_stored(server: redis.Redis, redis_server: RedisServer) -> None:
    cache, trace = RedisCache(redis_server.url, max_value_bytes=5), Trace()
    with trace.stage("translate"):
        cache.put_many("translation", {key(1): "yksi", key(2): "kuusi kuusta"})
    assert cache.get_many("translation", [key(1), key(2)]) == ["yksi", None]
    assert trace.counts == {"translate.cache_too_large": 1}
    cache.close()


def test_a_server_that_is_down_is_a_note_and_a_count() -> None:
    cache, trace = RedisCache(f"redis://:secret@127.0.0.1:{free_port()}/0"), Trace()
    with trace.stage("translate"):
        assert cache.get_many("translation", [key(1), key(2)]) == [None, None]
        cache.put_many("translation", {key(1): "yksi"})
    assert [note.public for note in trace.notes] == ["the cache cannot be read", "the cache cannot be written"]
    assert trace.counts == {"translate.cache_failures": 2}
    assert "secret" not in " ".join(trace.notes)


def test_a_server_that_does_not_answer_is_waited_for_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = RedisCache(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.2)
        started = time.monotonic()
        for n in range(20):
            assert cache.get_many("translation", [key(n)]) == [None]
        assert time.monotonic() - started < 2


def test_a_server_that_restarts_is_used_again() -> None:
    server = RedisServer()
    cache = RedisCache(server.url, timeout=5)
    cache.put_many("translation", {key(1): "yksi"})
    server.kill()
    server.start()
    cache.put_many("translation", {key(1): "yksi"})  # through the connection that the first server closed
    assert cache.get_many("translation", [key(1)]) == ["yksi"]
    cache.close()
    server.close()


def test_the_content_of_a_server_that_is_down_is_an_error_with_a_remedy() -> None:
    cache = RedisCache(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(CacheUnusable, match=r"cache redis://127.* start the server"):
        cache.info()


async def test_an_entry_that_is_no_result_is_computed_again(cache: RedisCache, server: redis.Redis) -> None:
    calls, trace = CachedCalls(cache, "completion", dump=str, load=int), Trace()
    server.set(b"qttrag:1:completion:" + key(1), b"not a number")
    server.set(b"qttrag:1:completion:" + key(2), b"\xff")

    async def compute(keys: list[bytes]) -> list[int]:
        return [7 for _ in keys]

    with trace.stage("tag"):
        assert await calls.get_many([key(1), key(2)], compute) == [7, 7]
    assert trace.counts["tag.cache_unreadable"] == 2
    assert trace.counts["tag.computed"] == 2
    assert cache.get_many("completion", [key(1), key(2)]) == ["7", "7"]


async def test_a_translation_of_one_node_is_read_by_another(redis_server: RedisServer, server: redis.Redis) -> None:
    caches = [RedisCache(redis_server.url, timeout=5) for _ in range(2)]
    trace = Trace()
    with trace.stage("translate"):
        for cache in caches:
            await CachedTranslator(FakeTranslator(), cache).translate(["a", "b"], [Lang("en")] * 2, Lang("fi"))
            cache.close()
    assert trace.counts == {"translate.computed": 2, "translate.cached": 2}


def test_a_url_alone_is_a_cache_on_a_server() -> None:
    settings = CacheSettings.model_validate("redis://host:6379/0")
    assert open_cache(settings).location == "redis://host:6379/0"


def test_without_a_url_the_cache_is_a_file(tmp_path: Path) -> None:
    assert isinstance(open_cache(CacheSettings(path=tmp_path / "c")), Cache)


def test_a_password_is_not_shown() -> None:
    assert open_cache(CacheSettings(url="rediss://:secret@host/0")).location == "rediss://***@host/0"


@pytest.mark.parametrize("settings", [{"ttl": 60}, {"url": "redis://host", "path": "cache.sqlite"}])
def test_settings_of_another_kind_of_cache_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is a setting of a cache in a"):
        CacheSettings.model_validate(settings)


def test_an_invalid_port_is_refused_without_the_password() -> None:
    with pytest.raises(ConfigError, match=r"redis://\*\*\*@host:port") as error:
        open_cache(CacheSettings(url="redis://:secret@host:port/0"))
    assert "secret" not in str(error.value)


def test_a_cache_in_a_file_does_not_import_redis() -> None:
    code = (
        "import sys\n"
        "from qttrag.config.deployment import CacheSettings\n"
        "from qttrag.runtime.open_cache import open_cache\n"
        "open_cache(CacheSettings()); print('redis' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
