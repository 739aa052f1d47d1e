"""Which collections, and which languages of them, a question is searched in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from qttrag.text.languages import language
from qttrag.types import Lang, Query

OWN = "query"


def check(languages: Sequence[str] | None) -> list[str] | None:
    """Return the setting with every language as its code; "query" stays.

    Raises:
        InputError: a language is unknown."""
    return None if languages is None else [name if name == OWN else language(name).code for name in languages]


def langs(languages: Sequence[str] | None, query: Query) -> tuple[Lang, ...] | Literal["all"]:
    """Return the languages to search for a query: "query" stands for its own, None for all there are."""
    if languages is None:
        return "all"
    return tuple(sorted({query.lang if name == OWN else Lang(name) for name in languages}))


def names(collections: Sequence[str]) -> list[str]:
    """Return what the collections of a deployment are called: their names, or their folders' where given by paths.

    Two of the same name are one for whoever chooses."""
    return list(dict.fromkeys(PurePath(collection).name for collection in collections))


def includes(chosen: Sequence[str] | None, collection: str) -> bool:
    """Return whether a collection is among those chosen by their names; None: all are."""
    return chosen is None or PurePath(collection).name in chosen
