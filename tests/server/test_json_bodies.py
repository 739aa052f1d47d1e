"""Bodies with halves of surrogate pairs, which JSON can escape and no encoding can write."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.running import EmbeddingRetriever, Running, application, running

HALF = r'"a\ud800"'
USER = f'{{"role": "user", "content": {HALF}}}'


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(application(retriever=EmbeddingRetriever)) as up:
        yield up


def post(service: Running, path: str, body: str) -> tuple[int, str]:
    reply = service.client.post(path, content=body, headers={"content-type": "application/json"})
    return reply.status_code, reply.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/ask", f'{{"question": {HALF}}}'),
        ("/v1/ask", f'{{"question": {HALF}, "stream": true}}'),
        ("/v1/retrieve", f'{{"question": {HALF}}}'),
        ("/v1/translate", f'{{"texts": [{HALF}], "target": "ko"}}'),
        ("/v1/tag", f'{{"pairs": [{{"original": {HALF}, "translation": {HALF}}}], "target": "ko"}}'),
        ("/v1/rerank", f'{{"query": {HALF}, "documents": [{HALF}, {{"text": {HALF}}}], "model": {HALF}}}'),
        ("/v1/embeddings", f'{{"model": "encoder", "input": {HALF}}}'),
        ("/v1/chat/completions", f'{{"model": "base", "messages": [{{"role": {HALF}, "content": "x"}}, {USER}]}}'),
        ("/v1/chat/completions", f'{{"model": "base", "messages": [{{"role": {HALF}}}, {USER}], "stream": true}}'),
    ],
)
def test_half_of_a_pair_in_a_text_is_read_as_a_question_mark(service: Running, path: str, body: str) -> None:
    status, text = post(service, path, body)
    assert status == 200
    assert '"error"' not in text


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/ask", f'{{"question": "x", "strategy": {HALF}}}', 422),
        ("/v1/ask", f'{{"question": "x", "lang": {HALF}}}', 422),
        ("/v1/ask", f'{{"question": "x", "options": {{{HALF}: 1}}}}', 422),
        ("/v1/ask", f'{{"question": "x", {HALF}: 1}}', 422),
        ("/v1/embeddings", f'{{"model": {HALF}, "input": "x"}}', 404),
        ("/v1/chat/completions", f'{{"model": {HALF}, "messages": [{USER}]}}', 404),
    ],
)
def test_half_of_a_pair_in_a_name_is_an_error_of_the_request(
    service: Running, path: str, body: str, expected: int
) -> None:
    assert post(service, path, body)[0] == expected


def test_a_whole_pair_stays_as_it_is(service: Running) -> None:
    status, text = post(service, "/v1/translate", r'{"texts": ["\ud83d\ude00"], "target": "ko"}')
    assert (status, "ko<\U0001f600>" in text) == (200, True)
