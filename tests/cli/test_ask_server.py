"""`qttrag ask` through a running `qttrag serve`: which servers it uses, and what it shows."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qttrag.application.serialization import answer_as_dict, answer_from_dict
from qttrag.cli import app, local_socket, serve, served_ask
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError, InputError, QttragError, StageError
from qttrag.testing import FakeGenerator
from qttrag.types import Answer, AskRequest, CriticalError, QualityScores, TaggedPassage
from tests.server.running import PASSAGES, Running, application, running

SETTINGS: dict[str, Any] = {"retriever": {"kind": "fake"}, "generator": {"kind": "fake"}}
"""Only a server has these stages: without one, a question ends with the error that the kind is unknown."""
QUESTION = "Mikä on pääkaupunki?"
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's runtime folder; its path is short enough for sockets."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.fixture
def server() -> Iterator[Running]:
    served = application()
    with local_socket.listening(served.deployment) as local, running(served, local=local) as server:
        yield server


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    config = tmp_path / "fakes.yaml"
    config.write_text(json.dumps({**SETTINGS, "server": {"port": 1}}))  # JSON is YAML

    def asked(*words: str, question: str = QUESTION) -> Any:
        return CliRunner().invoke(app, ["ask", question, "-c", str(config), "-s", "qtt_rag", *words])

    return asked


def assert_not_served(shown: Any) -> None:
    assert isinstance(shown.exception, ConfigError)
    assert "kind 'fake'" in str(shown.exception)


def test_a_running_server_of_the_same_deployment_answers(server: Running, ask: Ask) -> None:
    shown = ask()
    assert shown.exit_code == 0
    assert "It is Helsinki [1]." in shown.stdout
    assert PASSAGES[0].text[:20] in shown.stdout
    assert "answered by the running `qttrag serve`" in shown.stderr


async def test_the_json_is_that_of_the_application(server: Running, ask: Ask) -> None:
    shown = json.loads(ask("--json").stdout)
    own = answer_as_dict(await application().ask(AskRequest(QUESTION, strategy="qtt_rag")), details=True)
    for answer in (shown, own):
        del answer["trace"]["seconds"]
    assert shown == json.loads(json.dumps(own))


@pytest.mark.parametrize("words", [["--server", "off"], ["--depth", "3"], ["--set", "top_k=1"]])
def test_other_settings_are_not_asked_of_it(server: Running, ask: Ask, words: list[str]) -> None:
    assert_not_served(ask(*words))


def test_a_server_of_other_settings_is_not_used(ask: Ask) -> None:
    other = Deployment(**SETTINGS, top_k=1)
    with local_socket.listening(other) as local, running(application(), local=local):
        assert_not_served(ask())


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_socket_that_others_could_replace_is_not_used(server: Running, ask: Ask, runtime: Path, what: str) -> None:
    (file,) = (runtime / "qttrag").iterdir()
    (file.parent if what == "folder" else file).chmod(0o755)
    assert_not_served(ask())


def test_a_linked_folder_is_not_used(server: Running, ask: Ask, runtime: Path) -> None:
    (runtime / "qttrag").rename(runtime / "elsewhere")
    (runtime / "qttrag").symlink_to(runtime / "elsewhere")
    assert_not_served(ask())


def test_the_file_of_a_killed_server_is_ignored_and_removed_by_the_next_server(ask: Ask, runtime: Path) -> None:
    deployment = Deployment(**SETTINGS)
    (runtime / "qttrag").mkdir(mode=0o700)
    stale = runtime / "qttrag" / f"{local_socket.digest(deployment)}-99999999.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(stale))
    stale.chmod(0o600)
    dead.close()
    assert_not_served(ask())
    with local_socket.listening(deployment):
        assert not stale.exists()
        assert len(list(stale.parent.iterdir())) == 1
    assert list(stale.parent.iterdir()) == []


def test_a_folder_that_is_open_to_others_is_not_listened_in(runtime: Path) -> None:
    (runtime / "qttrag").mkdir()
    (runtime / "qttrag").chmod(0o777)
    with local_socket.listening(Deployment(**SETTINGS)) as listener:
        assert listener is None


def test_a_service_with_keys_has_no_socket_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve._local_socket(Deployment(**SETTINGS)) as without_keys:
        assert len(without_keys) == 1
    monkeypatch.setenv("QTTRAG_API_KEYS", "secret")
    with serve._local_socket(Deployment(**SETTINGS)) as with_keys:
        assert with_keys == []


def test_a_busy_server_leaves_the_question_to_this_process(server: Running, ask: Ask) -> None:
    server.server.config.app.state.service.is_draining = True  # type: ignore[union-attr]
    shown = ask()
    assert "the server is busy" in shown.stderr
    assert_not_served(shown)


def test_a_server_may_be_named_by_its_url(server: Running, ask: Ask) -> None:
    shown = ask("--server", server.url, "--top-k", "1")
    assert "It is Helsinki [1]." in shown.stdout
    assert "answered by the running" not in shown.stderr


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:port"])
def test_what_is_no_url_is_refused(ask: Ask, url: str) -> None:
    shown = ask("--server", url)
    assert isinstance(shown.exception, InputError)
    assert f"--server '{url}'" in str(shown.exception)


def test_settings_are_not_for_the_server_of_a_url(server: Running, ask: Ask) -> None:
    assert "--set does not change" in str(ask("--server", server.url, "--set", "depth=3").exception)


def test_a_refused_question_is_invalid_input_and_a_failed_stage_exit_code_4() -> None:
    def fails(messages: Any) -> str:
        raise StageError("generator", "broken")

    with running(application(FakeGenerator(fails))) as server:
        assert isinstance(error(server.url, QUESTION, strategy="nonsense"), InputError)
        failed = error(server.url, QUESTION)
        assert failed.exit_code == 4
        assert "the generator failed; see the server's log" in str(failed)


def test_no_server_at_a_url_is_an_unavailable_server() -> None:
    assert "server: no valid answer (ConnectionRefusedError" in str(error("http://127.0.0.1:9", QUESTION))


def error(url: str, question: str, **more: Any) -> QttragError:
    with pytest.raises(QttragError) as raised:
        served_ask.ask(served_ask.over_url(url)[0], AskRequest(question, **more), lambda event: None)
    return raised.value


async def test_an_answer_survives_its_json() -> None:
    asked = await application().ask(AskRequest(QUESTION, strategy="qtt_rag"))
    passage = TaggedPassage(
        PASSAGES[0], "Käännös.", QualityScores(4.5, None, 3.0), None, ("cut",), None,
        (CriticalError("numbers", ("10,000",)),), 0.5, 3,
    )  # fmt: skip
    answer = Answer(asked.query, "x", asked.lang, (passage,), asked.trace, strategy="qtt_rag", reasoning="hm")
    assert answer_from_dict(json.loads(json.dumps(answer_as_dict(answer, details=True)))).context == (passage,)
    assert answer_as_dict(answer_from_dict(json.loads(json.dumps(answer_as_dict(asked))))) == answer_as_dict(asked)
