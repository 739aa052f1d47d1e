"""What every cache of results does, wherever its entries are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from qttrag import trace
from qttrag.errors import ConfigError


class KindInfo(NamedTuple):
    entries: int
    bytes: int


class Entries(Protocol):
    """Texts by kind and content key. It is safe with several threads."""

    def get_many(self, kind: str, keys: Sequence[bytes]) -> list[str | None]:
        """Return the value of each key, in the keys' order; None: no entry, or the cache cannot be read."""
        ...

    def put_many(self, kind: str, items: Mapping[bytes, str]) -> None:
        """Store each value under its key, in place of an earlier one; if the cache cannot be written, store nothing."""
        ...


class ResultCache(Entries, Protocol):
    """A cache of texts by kind ("translation", "completion") and content key. It is safe with several threads.

    An answer does not depend on its cache: a result that cannot be read or stored is computed again, with a note."""

    @property
    def location(self) -> str:
        """Return where the entries are, for the operator; without passwords."""
        ...

    @property
    def limit(self) -> str:
        """Return in words what is deleted, and when."""
        ...

    def info(self) -> dict[str, KindInfo]:
        """Return the number of entries and bytes of content by kind.

        Raises:
            CacheUnusable: the cache cannot be read."""
        ...

    def clear(self, kind: str | None = None) -> int:
        """Delete every entry, or those of one kind; return how many.

        Raises:
            CacheUnusable: the cache cannot be written."""
        ...

    def close(self) -> None: ...


class CacheUnusable(ConfigError):
    """A cache cannot be used, now or at all. `reason`: in the words of its library or the system."""

    def __init__(self, location: str, reason: str, remedy: str) -> None:
        super().__init__(f"cache {location}: {reason}; {remedy}")
        self.location = location
        self.reason = reason


@contextmanager
def failure_as_note(what: str) -> Iterator[None]:
    """Turn the failure of a cache in the block into a note and a count: the cache cannot be `what` ("read").

    Counts: cache_failures."""
    try:
        yield
    except CacheUnusable as error:
        trace.count("cache_failures")
        trace.note(f"the cache cannot be {what}", details=f"{error.location}: {error.reason}")
