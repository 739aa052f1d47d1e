"""Searches of stores at several places: places answer independently, and a slow one does not delay the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from qttrag.errors import StageUnavailable
from qttrag.protocols import Placed
from qttrag.retrievers import search_scope
from qttrag.runtime.batching import Batcher
from qttrag.types import Hit


class Named(Protocol):
    @property
    def name(self) -> str: ...


class ChoosingRequest(Protocol):
    @property
    def chosen(self) -> tuple[str, ...] | None:
        """Return the names of the collections to search; None: all."""
        ...


S = TypeVar("S", bound=Named)
R = TypeVar("R", bound=ChoosingRequest)


class Searches(NamedTuple, Generic[R]):
    """Searches of the stores at one place; a request has the hits of each store and group of languages."""

    stores: Sequence[Named]
    batcher: Batcher[R, list[list[Hit]]]


def by_place(stores: Sequence[S]) -> dict[str | None, list[S]]:
    """Return the stores at each place; None: in this process."""
    places: dict[str | None, list[S]] = {}
    for store in stores:
        places.setdefault(store.place if isinstance(store, Placed) else None, []).append(store)
    return places


async def all_hits(searches: Sequence[Searches[R]], request: R) -> tuple[list[list[Hit]], StageUnavailable | None]:
    """Return the hits of all places that answer, and the error of one that is unavailable.

    Raises:
        StageUnavailable: none answers."""
    asked = [each for each in searches if any(search_scope.is_chosen(s.name, request.chosen) for s in each.stores)]
    results = await asyncio.gather(*(each.batcher.map([request]) for each in asked), return_exceptions=True)
    unavailable = [result for result in results if isinstance(result, StageUnavailable)]
    if unavailable and len(unavailable) == len(results):
        raise unavailable[0]
    return list(_answers(results)), unavailable[0] if unavailable else None


def _answers(results: Sequence[list[list[list[Hit]]] | BaseException]) -> Iterator[list[Hit]]:
    """Yield the hits of each search; an error other than StageUnavailable is raised."""
    for result in results:
        if isinstance(result, list):
            yield from result[0]
        elif not isinstance(result, StageUnavailable):
            raise result
