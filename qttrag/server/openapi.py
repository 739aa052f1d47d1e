"""The collections and limits of a deployment in `/openapi.json`."""

from __future__ import annotations

from typing import Any

from qttrag.application.application import Application


def describe(document: dict[str, Any], application: Application) -> None:
    """Add to the document the collections that requests may name and the limits on sizes.

    JSON Schema cannot express the options of each strategy, or that a question's language must be detectable."""
    schemas = document["components"]["schemas"]
    server, deployment = application.deployment.server, application.deployment
    text = {"maxLength": server.max_text_chars}
    for name in ("AskBody", "RetrieveRequest"):
        _limit(schemas[name], "question", maxLength=deployment.max_question_chars)
        _limit(schemas[name], "depth", maximum=server.max_depth)
        _limit(schemas[name], "top_k", maximum=server.max_top_k)
    for name in ("AskBody", "RetrieveRequest", "ChatRequest"):
        _allow_collections(schemas[name]["properties"], application.collections)
    _limit(schemas["TranslateRequest"], "texts", maxItems=server.max_texts)
    schemas["TranslateRequest"]["properties"]["texts"]["items"] |= text
    _limit(schemas["TagRequest"], "pairs", maxItems=server.max_texts)
    for name in ("original", "translation"):
        _limit(schemas["TagPair"], name, **text)
    one, several = schemas["EmbeddingsRequest"]["properties"]["input"]["oneOf"]
    one |= text
    several["maxItems"] = server.max_embedded_texts
    several["items"] |= text
    _limit(schemas["RerankRequest"], "query", **text)
    _limit(schemas["RerankRequest"], "documents", maxItems=server.max_depth)


def _limit(schema: dict[str, Any], name: str, **limit: int) -> None:
    field = schema["properties"][name]
    field.get("anyOf", [field])[0].update(limit)  # the alternative that is not null


def _allow_collections(properties: dict[str, Any], collections: list[str]) -> None:
    if collections:
        properties["collections"]["anyOf"][0]["items"]["enum"] = collections
    else:
        properties["collections"] = {"type": "null"}  # there is no choice
