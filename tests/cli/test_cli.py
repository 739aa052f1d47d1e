"""The commands, on tiny models."""

from __future__ import annotations

import json
import re
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from qttrag.cli import main
from qttrag.cli.index.progress import show_progress
from qttrag.indexes.recipe import load
from tests import deployment
from tests.conformance.habits import REFUSALS, OddServer
from tests.indexes.jobs.real_encoders import build
from tests.openai_client.server import Server, text_reply

QUESTION = "서울 시에서 가장 오래된 다리는 언제 개통되었는가?"


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs `qttrag` with its arguments in this process."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["qttrag", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return call


@pytest.fixture
def config(tmp_path: Path, tiny: Path, run: Any) -> Path:
    recipe = deployment.write_recipe(tmp_path, tiny)
    assert run("index", "build", recipe).code == 0
    return deployment.write_deployment(tmp_path, tiny)


def test_ask_shows_answer_passages_scores_and_times(run: Any, config: Path) -> None:
    shown = run("ask", QUESTION, "-c", config)
    assert shown.code == 0
    assert re.search(r"sem +gram +flu +title", shown.out)
    assert re.search(r"(en|fi|zh)→ +-?\d+\.\d{3} +\d\.\d +\d\.\d +\d\.\d", shown.out)
    assert re.search(r"\d+\.\d\d s: .*retrieve \d.*translate \d.*tag \d.*answer \d", shown.out.replace("\n", " "))


def test_ask_as_json_is_one_object(run: Any, config: Path) -> None:
    answer = run("ask", QUESTION, "-c", config, "--json").json
    assert (answer["lang"], answer["strategy"], answer["question"]) == ("ko", "qtt_rag", QUESTION)
    assert answer["answer"]
    assert len(answer["passages"]) == 5
    translated = [passage for passage in answer["passages"] if passage["translation"]]
    assert translated
    assert all(passage["scores"] or passage["unscored"] for passage in translated)
    assert answer["trace"]["seconds"]["retrieve"] >= 0


def test_a_question_about_a_pretranslated_index_translates_and_scores_nothing(
    run: Any, config: Path, tmp_path: Path
) -> None:
    def asked(*words: str) -> Any:
        return run("ask", QUESTION, "-c", config, *words, "--json").json

    without = asked("--set", f"cache.path={tmp_path / 'other.sqlite'}")
    (done,) = run("index", "pretranslate", "mixed", "--to", "ko", "--tag", "-c", config, "--json").json
    assert done["translated"] == done["scored"] + done["unscored"] == 30
    answer = asked()
    assert answer["trace"]["counts"]["translate.cached"] > 0
    assert not {"translate.computed", "tag.computed"} & set(answer["trace"]["counts"])
    assert (answer["answer"], answer["passages"]) == (without["answer"], without["passages"])
    (again,) = run("index", "pretranslate", "mixed", "--to", "ko", "--tag", "-c", config, "--json").json
    assert (again["translated"], again["cached"]) == (0, 30)


def test_a_build_can_translate_what_it_built(run: Any, config: Path, tmp_path: Path) -> None:
    words = ["index", "build", tmp_path / "mixed.yaml", "--overwrite", "-c", config]
    made = run(*words, "--pretranslate", "fi", "--json").json
    assert made["index"]["rows"] == 40
    assert [(one["lang"], one["translated"]) for one in made["pretranslated"]] == [("fi", 30)]
    assert run(*words, "--pretranslate", "xx").code == 2
    assert run(*words, "--tag").code == 2


def test_ask_searches_only_the_given_collections(run: Any, config: Path) -> None:
    words = ["ask", QUESTION, "-c", config, "-s", "base", "--json"]
    assert run(*words, "--collection", "mixed").json["collections"] == ["mixed"]
    wrong = run(*words, "--collection", "mixed", "--collection", "wiki-ko")
    assert wrong.code == 2
    assert "unknown collection 'wiki-ko' (known: mixed)" in wrong.json["error"]["message"]


def test_ask_takes_strategy_options_and_settings(run: Any, config: Path) -> None:
    words = ["ask", QUESTION, "-c", config, "-s", "qtt_rag", "-o", "tags=false", "--top-k", "2", "--json"]
    answer = run(*words, "--set", "answer_tokens=4").json
    assert len(answer["passages"]) == 2
    assert not any(key.startswith("tag") for key in answer["trace"]["seconds"])
    assert answer["trace"]["counts"]["answer.completion_tokens"] <= 4


def test_ask_shows_what_was_done_before_the_deadline(run: Any, config: Path) -> None:
    words = ["ask", QUESTION, "-c", config, "--set", "question_timeout=0.001"]
    shown, read = run(*words), run(*words, "--json")
    assert shown.code == read.code == 4
    assert "raise `question_timeout:`" in shown.err
    assert "detect" in shown.out
    assert read.json["error"]["type"] == "DeadlineExceeded"
    assert read.json["partial"]["answer"] == ""


def test_translate_and_tag_work_alone(run: Any, config: Path) -> None:
    translated = run("translate", "The old bridge was opened in 1903.", "--to", "ko", "-c", config, "--json").json
    assert (translated["source"], translated["target"]) == ("en", "ko")
    assert translated["text"]
    scores = run("tag", "The bridge.", "다리.", "--to", "Korean", "-c", config, "--json").json
    assert scores["scores"] or scores["unscored"]
    assert run("tag", "The bridge.", "다리.", "--to", "ko", "-c", config).out.startswith(("semantic", "unscored"))


def test_a_text_without_letters_is_printed_unchanged(run: Any, config: Path) -> None:
    translated = run("translate", "1903", "--to", "ko", "-c", config)
    assert (translated.code, translated.out.strip()) == (0, "1903")


def test_index_commands(run: Any, config: Path) -> None:
    assert run("index", "info", "--json").json[0]["rows"] == 40
    assert "40 (en 10, fi 10, ko 10, zh 10)" in run("index", "info", "mixed").out
    assert run("index", "verify", "mixed").code == 0
    hits = run("index", "search", "mixed", "silta", "-k", "3", "--lang", "fi", "--json").json
    assert [hit["lang"] for hit in hits] == ["fi"] * 3


def test_an_index_is_changed_by_commands(run: Any, config: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    new.write_text('{"id": "new", "text": "Uusi silta."}\n')
    assert run("index", "append", "mixed", new, "--lang", "fi", "--json").json["rows"] == 41
    shown = run("index", "remove", "mixed", "en-0", "new", "--json").json
    assert (shown["removed"], shown["langs"]["en"]) == (2, 9)
    ids = tmp_path / "ids.txt"
    ids.write_text("ko-1\nnowhere\n")
    assert run("index", "remove", "mixed", "--file", ids).code == 2
    assert "3 passages, until compacted" in run("index", "remove", "mixed", "--file", ids, "--missing-ok").out
    assert "1 passages, 0 replaced" in run("index", "info", "mixed").out
    assert run("index", "compact", "mixed", "--json").json["rows"] == 38
    assert run("index", "remove", "mixed").code == 2


def test_verify_of_a_damaged_index_is_exit_code_3(run: Any, config: Path) -> None:
    from qttrag import resources

    path = resources.built_folder() / "mixed" / "passages.arrow"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    assert run("index", "verify", "mixed").code == 3


def test_strategies_and_languages_are_listed(run: Any) -> None:
    assert {row["strategy"] for row in run("strategies", "--json").json} >= {"base", "qtt_rag", "hard_filter"}
    assert "drop=all" in run("strategies").out
    (finnish,) = run("languages", "finnish", "--json").json
    assert (finnish["code"], finnish["native"], finnish["nllb"], finnish["prompts"]) == (
        "fi",
        "suomi",
        "fin_Latn",
        True,
    )
    assert finnish["detected"] == "model"
    assert (finnish["passages"], finnish["terms"]) == ("words", "stems")
    assert finnish["prompt_files"] == ["answer", "tag", "refine", "condense"]
    by_code = {row["code"]: row for row in run("languages", "--json").json}
    assert len(by_code) == 202
    assert (by_code["zu"]["detected"], by_code["zu"]["prompts"]) == ("no", False)
    assert (by_code["th"]["detected"], by_code["th"]["passages"], by_code["th"]["terms"]) == (
        "script",
        "characters",
        "dictionary words",
    )
    assert by_code["nb"]["confused_with"] == ["da", "nn"]
    assert by_code["sr"]["also_written_in"] == ["Latn"]


def test_config_show_merges_all_levels_and_hides_secrets(
    run: Any, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_TOP_K", "3")
    shown = run("config", "show", "-c", config, "--set", "generator.extra_body.api_key=sk-secret", "--json")
    assert shown.json["top_k"] == 3
    assert "sk-secret" not in shown.out


def test_init_copies_the_folders_and_says_how_to_use_them(run: Any, tmp_path: Path) -> None:
    shown = run("init", tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["eval", "indexes", "prompts", "server"]
    assert (tmp_path / "mine" / "prompts" / "answer" / "ko.yaml").is_file()
    assert f"export QTTRAG_HOME={tmp_path / 'mine'}" in shown.out
    assert run("init", tmp_path / "mine").code == 2


@pytest.mark.parametrize(
    ("machine", "name"),
    [("laptop", "laptop"), ("laptop-fast", "laptop-fast"), ("gpu", "gpu"), ("server", "served")],
)
def test_init_chooses_a_deployment_for_a_machine_and_says_why(
    run: Any, tmp_path: Path, machine: str, name: str
) -> None:
    shown = run("init", tmp_path / "mine", "--for", machine)
    assert f"QTTRAG_CONFIG={name}" in shown.out
    assert (tmp_path / "mine" / "server" / f"{name}.yaml").is_file()
    for subject in ("Memory:", "Licences:", "Time:"):
        assert subject in shown.out


def test_init_chooses_four_bits_for_a_laptop_that_has_llama_cpp(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "llama_cpp.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "QTTRAG_CONFIG=laptop-gguf" in run("init", tmp_path / "mine", "--for", "laptop").out


def test_cache_is_shown_and_cleared(run: Any, config: Path) -> None:
    run("ask", QUESTION, "-c", config)
    kinds = run("cache", "info", "-c", config, "--json").json["kinds"]
    assert kinds["translation"]["entries"] > 0
    assert kinds["completion"]["entries"] > 0
    assert (
        run("cache", "clear", "translation", "-c", config, "--json").json["removed"] == kinds["translation"]["entries"]
    )
    assert set(run("cache", "info", "-c", config, "--json").json["kinds"]) == {"completion"}
    assert run("cache", "clear", "nothing", "-c", config).code == 2


def test_doctor_reports_packages_models_and_indexes(run: Any, config: Path) -> None:
    shown = run("doctor", "-c", config, "--json")
    assert shown.code == 0
    checks = {finding["what"]: finding["ok"] for finding in shown.json}
    assert checks["generator model"] is checks["index mixed"] is checks["torch"] is True
    details = {finding["what"]: finding["detail"] for finding in shown.json}
    assert "loads without sentence-transformers" in details["reranker model"]
    assert "on a CPU on CTranslate2" in details["retriever.encoder model"]
    assert "sentence-transformers" not in details["generator model"]


def test_doctor_estimates_the_seconds_of_a_question(run: Any, config: Path) -> None:
    findings = {each["what"]: each for each in run("doctor", "-c", config, "--json").json}
    assert "docs/sizing.md" in findings["seconds a question"]["detail"]
    assert "tokens / " in findings["seconds of rerank"]["detail"]


def test_doctor_names_the_models_of_a_running_ollama(run: Any, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tags(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"models": [{"name": "qwen3:4b"}]} if self.path == "/api/tags" else {}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Tags) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.server_port}")
        findings = {each["what"]: each for each in run("doctor", "-c", config, "--json").json}
        server.shutdown()
    assert "running, with qwen3:4b" in findings["Ollama"]["detail"]
    assert f"generator.base_url=http://127.0.0.1:{server.server_port}/v1" in findings["Ollama"]["detail"]


def test_doctor_names_missing_parts_with_exit_code_4(run: Any, tmp_path: Path, tiny: Path) -> None:
    config = deployment.write_deployment(
        tmp_path,
        tiny,
        retriever={"kind": "bm25", "collections": ["nowhere"]},
        translator={"kind": "nllb", "model": "owner/model"},
        generator={"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
    )
    shown = run("doctor", "-c", config, "--json")
    assert shown.code == 4
    missing = {finding["what"] for finding in shown.json if finding["ok"] is False}
    assert missing == {"index nowhere", "translator model", "generator server"}


class _Garbage(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"SSH-2.0-hello\r\n")


def test_doctor_reports_invalid_servers_and_hides_passwords(run: Any, config: Path) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Garbage) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        for host in (f"127.0.0.1:{server.server_address[1]}", "127.0.0.1:9/with space", "127.0.0.1:port", "[::1"):
            url = f"http://me:hunter2@{host}/v1"
            shown = run("doctor", "-c", config, "--set", f"generator={{kind: openai, model: m, base_url: '{url}'}}")
            assert shown.code == 4
            assert "***@" in shown.out
            assert "hunter2" not in shown.out + shown.err
        server.shutdown()


def test_doctor_reports_a_shared_cache_that_does_not_answer(run: Any, config: Path) -> None:
    url = "redis://:secret@127.0.0.1:1/0"
    result = run("doctor", "-c", config, "--set", f"cache={url}", "--json")
    (finding,) = [finding for finding in result.json if finding["what"] == "cache"]
    assert result.code == 4
    assert not finding["ok"]
    assert finding["detail"].startswith("the cache cannot be read: redis://***@127.0.0.1:1/0: ")


def test_doctor_calls_a_server_whose_url_has_a_password(run: Any, config: Path) -> None:
    with Server(text_reply("x")) as server:
        url = server.base_url.replace("http://", "http://me:hunter2@")
        set_url = f"generator={{kind: openai, model: m, base_url: '{url}'}}"
        shown = run("doctor", "-c", config, "--set", set_url, "--json")
    checks = {finding["what"]: finding for finding in shown.json}
    assert checks["generator server"]["ok"]
    assert "hunter2" not in shown.out


def test_doctor_asks_each_server_what_it_accepts(run: Any, config: Path) -> None:
    with OddServer(REFUSALS["system_role_refused"]) as server:
        setting = f"generator={{kind: openai, model: m, base_url: '{server.base_url}'}}"
        as_json = run("doctor", "-c", config, "--set", setting, "--ask", "--json")
        as_table = run("doctor", "-c", config, "--set", setting, "--ask")
    found = {finding["what"]: finding for finding in as_json.json}
    assert "does not accept system messages" in found[f"generator at {server.base_url}"]["detail"]
    assert "system messages" in " ".join(as_table.out.split())


def test_doctor_times_how_the_taggers_server_gives_scores(run: Any, config: Path) -> None:
    with OddServer(REFUSALS["only_json_object"]) as server:
        setting = f"generator={{kind: openai, model: m, base_url: '{server.base_url}'}}"
        shown = run("doctor", "-c", config, "--set", setting, "--set", "tagger={kind: llm}", "--ask", "--json")
    found = {finding["what"]: finding for finding in shown.json}
    detail = found[f"scores by generator at {server.base_url}"]["detail"]
    assert "JSON object" in detail
    assert "(4 of 4 readable)" in detail


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ask", "", "-c", "CONFIG"], 2, "the question is empty"),
        (["ask", "x", "-c", "nowhere.yaml"], 2, "no deployment file 'nowhere.yaml'"),
        (["ask", "질문", "-c", "CONFIG", "-s", "qttrag"], 2, "did you mean 'qtt_rag'"),
        (["ask", "질문", "-c", "CONFIG", "-l", "koreen"], 2, "did you mean 'Korean'"),
        (["ask", "질문", "-c", "CONFIG", "-o", "tags"], 2, "write it as name=value"),
        (["ask", "질문", "-c", "CONFIG", "--set", "retriever.collections=[nowhere]"], 3, "unknown index 'nowhere'"),
        (["index", "build", "nowhere"], 2, "unknown recipe 'nowhere'"),
        (["index", "search", "nowhere", "x"], 3, "unknown index 'nowhere'"),
        (["index", "search", "mixed", " "], 2, "the text to search for is empty"),
        (["index", "build"], 2, "Missing argument"),
        (
            ["ask", "질문", "-c", "CONFIG", "--set", "generator=5", "--set", "generator.model=x"],
            2,
            "`generator` is set to",
        ),
        (["init", "/proc/nothing"], 2, "/proc/nothing"),
        (["init", "/etc/passwd"], 2, "/etc/passwd"),
        (["kinds", "generater"], 2, "did you mean 'generator'"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(
    run: Any, config: Path, words: list[str], code: int, message: str
) -> None:
    shown = run(*(str(config) if word == "CONFIG" else word for word in words))
    assert shown.code == code
    assert message in shown.err
    assert "Traceback" not in shown.err


def test_an_error_as_json_is_an_object(run: Any, config: Path) -> None:
    shown = run("ask", "", "-c", config, "--json")
    assert shown.code == 2
    assert shown.json["error"]["type"] == "InputError"


def test_a_server_that_is_down_is_exit_code_4(run: Any, config: Path, tmp_path: Path, tiny: Path) -> None:
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    shown = run("ask", QUESTION, "-c", deployment.write_deployment(tmp_path, tiny, generator=down), "-s", "base")
    assert shown.code == 4
    assert "cannot be reached" in shown.err


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], ["index", "--help"], ["index", "build", "--help"]])
def test_help_shows_examples(run: Any, words: list[str]) -> None:
    shown = run(*words)
    assert shown.code == 0
    assert "qttrag" in shown.out


def test_python_m_qttrag_is_qttrag() -> None:
    done = subprocess.run([sys.executable, "-m", "qttrag", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("qttrag 0.")


def test_a_passage_cannot_steer_the_terminal(run: Any, tmp_path: Path, tiny: Path) -> None:
    recipe = deployment.write_recipe(tmp_path, tiny)
    record = {"id": "1", "title": "[red]T", "text": "\u001b[2J\u202eevil [bold]다리[/bold]", "lang": "ko"}
    (tmp_path / "mixed.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    run("index", "build", recipe)
    shown = run("ask", QUESTION, "-c", deployment.write_deployment(tmp_path, tiny), "-s", "base")
    assert "\u001b[2J" not in shown.out
    assert "\u202e" not in shown.out
    assert "[red]T" in shown.out


def test_a_log_shows_the_progress_of_a_build(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = load(deployment.write_recipe(tmp_path, tiny))
    with show_progress("mixed", log_seconds=0.0) as progress:
        build(recipe, progress=progress)
    assert "encoding mixed: 40 passages" in capsys.readouterr().err


def test_an_error_cannot_steer_the_terminal(run: Any, tmp_path: Path, tiny: Path) -> None:
    recipe = deployment.write_recipe(tmp_path, tiny)
    record = {"id": "1", "text": "x", "lang": "\u001b]0;owned\u0007"}
    (tmp_path / "mixed.jsonl").write_text(2 * (json.dumps(record) + "\n"), encoding="utf-8")
    shown = run("index", "build", recipe)
    assert shown.code == 2
    assert "unknown language ']0;owned'" in shown.err


def test_tag_reports_why_it_could_not_score_with_exit_code_4(
    run: Any, config: Path, tmp_path: Path, tiny: Path
) -> None:
    down = {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    file = deployment.write_deployment(tmp_path, tiny, generator=down)
    shown = run("tag", "The bridge.", "다리.", "--to", "ko", "-c", file)
    assert (shown.code, shown.out) == (4, "unscored: unavailable\n")
    assert "cannot be reached" in shown.err.replace("\n", " ")
    as_json = run("tag", "The bridge.", "다리.", "--to", "ko", "-c", file, "--json")
    assert as_json.code == 4
    assert "cannot be reached" in as_json.json["trace"]["notes"][0]


def test_a_text_that_is_not_utf8_is_searched_translated_and_tagged(run: Any, config: Path) -> None:
    broken = b"silta \xff".decode("utf-8", "surrogateescape")
    assert run("index", "search", "mixed", broken, "-k", "3").code == 0
    assert run("translate", broken, "--from", "fi", "--to", "ko", "-c", config).code == 0
    assert run("tag", broken, broken, "--from", "fi", "--to", "ko", "-c", config).code == 0


def test_an_unwritable_home_is_named(run: Any, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", "/proc/nothing")
    shown = run("index", "build", deployment.write_recipe(tmp_path, tiny))
    assert shown.code == 2
    assert "error: /proc/nothing" in shown.err


def test_kinds_are_listed_with_their_settings(run: Any) -> None:
    rows = {(row["stage"], row["kind"]): row for row in run("kinds", "--json").json}
    assert rows["tagger", "llm"]["settings"][0] == {
        "name": "generator", "type": "a generator's settings", "required": False, "default": None,
    }  # fmt: skip
    (encoder, *_) = rows["retriever", "dense"]["settings"]
    assert (encoder["name"], encoder["type"], encoder["required"]) == ("encoder", "an encoder's settings", True)
    (model, *_) = rows["encoder", "sentence_transformers"]["settings"]
    assert (model["name"], model["type"], model["required"]) == ("model", "str", True)
    shown = run("kinds", "retriever").out
    assert "k1: float = 1.5" in shown
    assert "languages: list[str] | null = null" in shown
    assert "Lexical retrieval with BM25" in shown
    assert "transformers" not in shown
