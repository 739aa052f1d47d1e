"""`/v1/feedback`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.server.running import application, running

OPINION: dict[str, Any] = {
    "vote": "down", "comment": "väärin", "question": "Mikä?", "answer": "Turku", "strategy": "base", "lang": "fi",
}  # fmt: skip


def test_feedback_is_off_unless_a_file_is_named() -> None:
    with running(application()) as up:
        answer = up.client.post("/v1/feedback", json=OPINION)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_enabled")
        assert up.client.get("/v1/choices").json()["feedback"] is False


def test_feedback_is_a_line_of_json_that_only_the_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "new" / "feedback.jsonl"
    with running(application(feedback=file)) as up:
        assert up.client.get("/v1/choices").json()["feedback"] is True
        answers = [up.client.post("/v1/feedback", json={**OPINION, "vote": vote}) for vote in ("up", "down")]
    assert [answer.status_code for answer in answers] == [204, 204]
    first, second = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert (first["vote"], second["vote"], second["comment"]) == ("up", "down", "väärin")
    assert second["time"].endswith("+00:00")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_half_of_a_surrogate_pair_is_stored_as_a_question_mark(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    with running(application(feedback=file)) as up:
        body = json.dumps({**OPINION, "comment": "a\ud800"})
        assert up.client.post("/v1/feedback", content=body, headers={"content-type": "application/json"}).is_success
    assert json.loads(file.read_text(encoding="utf-8"))["comment"] == "a?"


def test_feedback_ends_at_the_limit_of_its_file_and_clients_do_not_learn_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    with running(application(feedback=file, max_feedback_bytes=300)) as up:
        answers = [up.client.post("/v1/feedback", json=OPINION) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 503, 503]
    assert file.stat().st_size <= 300
    assert str(tmp_path) not in answers[1].text


@pytest.mark.parametrize("change", [{"vote": "maybe"}, {"comment": "x" * 2001}, {"strategy": "none"}, {"more": 1}])
def test_feedback_that_is_not_as_described_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "feedback.jsonl"
    with running(application(feedback=file)) as up:
        assert up.client.post("/v1/feedback", json={**OPINION, **change}).status_code == 422
    assert not file.exists()
