"""The collections that a question is searched in, and the languages of their passages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Literal

from qttrag.text.languages import language, variants
from qttrag.types import Lang, Query

QUERY_LANGUAGE = "query"
"""In settings: stands for the language of the question."""


def check_languages(languages: Sequence[str] | None) -> list[str] | None:
    """Return the setting with the code of each language; "query" is kept.

    Raises:
        InputError: a language is unknown."""
    if languages is None:
        return None
    return [name if name == QUERY_LANGUAGE else language(name).code for name in languages]


def passage_languages(languages: Sequence[str] | None, query: Query) -> tuple[Lang, ...] | Literal["all"]:
    """Return the languages of the passages that a query is searched in: "query" is its own in any script, None is all.

    A question in Traditional Chinese ("zh-Hant") has passages in "zh", too. Other names in settings are exact."""
    if languages is None:
        return "all"
    own = variants(query.lang)
    return tuple(sorted({lang for name in languages for lang in (own if name == QUERY_LANGUAGE else [Lang(name)])}))


def collection_names(collections: Sequence[str]) -> list[str]:
    """Return the names of a deployment's collections, each once; the name of a path is that of its folder."""
    return list(dict.fromkeys(PurePath(collection).name for collection in collections))


def is_chosen(collection: str, chosen: Sequence[str] | None) -> bool:
    """Return whether a question that chose these names is searched in a collection; None chooses all."""
    return chosen is None or PurePath(collection).name in chosen
