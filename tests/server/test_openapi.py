"""`/openapi.json` as it is served."""

from __future__ import annotations

from typing import Any

from tests.server.running import DividedRetriever, application, running


def schemas(**more: Any) -> dict[str, Any]:
    with running(application(**more)) as up:
        found: dict[str, Any] = up.client.get("/openapi.json").json()["components"]["schemas"]
    return found


def test_the_document_names_the_collections_there_are() -> None:
    named = schemas(retriever=DividedRetriever)
    for request in ("AskBody", "RetrieveRequest", "ChatRequest"):
        choice = named[request]["properties"]["collections"]["anyOf"]
        assert choice[0]["items"]["enum"] == DividedRetriever.collections
        assert choice[1] == {"type": "null"}


def test_the_document_of_a_deployment_without_a_choice_names_none() -> None:
    assert schemas()["AskBody"]["properties"]["collections"] == {"type": "null"}


def test_the_document_tells_the_limits_of_the_deployment() -> None:
    told = schemas(max_depth=70, max_top_k=7, max_texts=3, max_text_chars=50)
    asked = told["AskBody"]["properties"]
    assert asked["depth"]["anyOf"][0]["maximum"] == 70
    assert asked["top_k"]["anyOf"][0]["maximum"] == 7
    assert asked["question"]["maxLength"] == 2000
    assert told["TranslateRequest"]["properties"]["texts"]["maxItems"] == 3
    assert told["TranslateRequest"]["properties"]["texts"]["items"]["maxLength"] == 50
    several = told["EmbeddingsRequest"]["properties"]["input"]["oneOf"][1]
    assert (several["maxItems"], several["items"]["maxLength"]) == (256, 50)
    assert told["TagRequest"]["properties"]["pairs"]["maxItems"] == 3
    assert told["RerankRequest"]["properties"]["documents"]["maxItems"] == 70
