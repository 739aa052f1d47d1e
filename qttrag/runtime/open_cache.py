"""Opens the cache that a deployment names."""

from __future__ import annotations

from qttrag.config.deployment import CacheSettings
from qttrag.config.yaml_files import hide_secrets
from qttrag.errors import ConfigError, not_installed
from qttrag.runtime.cache import Cache
from qttrag.runtime.result_cache import ResultCache


def open_cache(settings: CacheSettings) -> ResultCache:
    """Return the cache: the server at `url`, or else a file. Nothing is connected or read.

    Raises:
        ConfigError: the package of the cache is not installed, or the URL is invalid."""
    if settings.url is None:
        return Cache(settings.file, max_bytes=settings.max_bytes)
    try:
        from qttrag.runtime.redis_cache import RedisCache
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed("a shared cache", error, extra="redis")) from error
    try:
        return RedisCache(
            settings.url, ttl=settings.ttl, timeout=settings.timeout, max_value_bytes=settings.max_value_bytes
        )
    except ValueError as error:
        raise ConfigError(f"`cache: {{url: {hide_secrets(settings.url)}}}`: {error}") from error
