"""The prefixes of queries and passages that published encoders were trained with, by the models' names.

Each is in the model's card. A model that is not listed may need some, too: its files may declare them."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError
from qttrag.models import hub
from qttrag.models.loading import is_hub_name


class Prefixes(NamedTuple):
    """What precedes every query and every passage."""

    query: str = ""
    passage: str = ""


_TASK = "Given a web search query, retrieve relevant passages that answer the query"  # of most instruction encoders
_SENTENCE = "Represent this sentence for searching relevant passages: "

_KNOWN: tuple[tuple[str, Prefixes], ...] = (
    (r"(multilingual-)?e5-(small|base|large)(-v2|-unsupervised)?", Prefixes("query: ", "passage: ")),
    (r"(multilingual-e5-large|e5-mistral-7b)-instruct", Prefixes(f"Instruct: {_TASK}\nQuery: ")),
    (r"snowflake-arctic-embed-[ml]-v2\.0", Prefixes("query: ")),
    (r"snowflake-arctic-embed-(xs|s|m|l|m-v1\.5|m-long)", Prefixes(_SENTENCE)),
    (r"gte-qwen\d?(-|[\d.]+-)[\d.]+b-instruct", Prefixes(f"Instruct: {_TASK}\nQuery: ")),
    (r"(gte-multilingual-base|gte-modernbert-base|gte-(small|base|large)(-zh|-en-v1\.5)?)", Prefixes()),
    (r"bge-(small|base|large)-en(-v1\.5)?", Prefixes(_SENTENCE)),
    (r"bge-(small|base|large)-zh(-v1\.5)?", Prefixes("为这个句子生成表示以用于检索相关文章：")),
    (r"bge-m3", Prefixes()),
    (r"bge-multilingual-gemma2", Prefixes(f"<instruct>{_TASK}.\n<query>")),
    (r"nomic-embed-text-v(1|1\.5|2-moe)", Prefixes("search_query: ", "search_document: ")),
    (r"embeddinggemma-300m", Prefixes("task: search result | query: ", "title: none | text: ")),
    (r"qwen3-embedding-[\d.]+b", Prefixes(f"Instruct: {_TASK}\nQuery:")),
    (
        r"jina-embeddings-v3",
        Prefixes("Represent the query for retrieving evidence documents: ", "Represent the document for retrieval: "),
    ),
    (r"jina-embeddings-v4", Prefixes("Query: ", "Passage: ")),
    (r"jina-embeddings-v2-(small|base)-[a-z]+", Prefixes()),
)


def known(model: str) -> Prefixes | None:
    """Return the prefixes of a model by the last part of its name or folder; None if it is not listed."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    return next((prefixes for pattern, prefixes in _KNOWN if re.fullmatch(pattern, name)), None)


def expected(model: str, revision: str | None) -> Prefixes | None:
    """Return the prefixes of a model by its name, or else those that its files on this machine declare; None: unknown.

    Nothing is downloaded."""
    if (by_name := known(model)) is not None:
        return by_name
    folder: Path | None = Path(model).expanduser()
    if is_hub_name(model):
        folder = None
        with suppress(ConfigError):  # without huggingface_hub there is no cache
            folder = hub.cached(model, revision, weights=False)
    return None if folder is None else declared(folder)


def declared(folder: Path) -> Prefixes | None:
    """Return the prefixes that a sentence-transformers folder declares for queries and passages; None for none."""
    try:
        config = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
        prompts = config["prompts"]
        passage = next((prompts[name] for name in ("document", "passage") if prompts.get(name)), "")
        prefixes = Prefixes(str(prompts.get("query") or ""), str(passage))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return prefixes if any(prefixes) else None
