"""`qttrag models` with a hub on loopback. Each command runs in its own process, because the hub's library reads its
settings at import."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import deployment, tiny_fasttext
from tests.hub import Hub

ROOT = Path(__file__).parents[2]
COMMIT = "5617a9f61b028005a4858fdac845db406aefb181"
SERVED = {"kind": "openai", "model": "meta/llama", "base_url": "http://127.0.0.1:9/v1"}
FILE = """\
# Ours.
retriever: {kind: bm25, collections: [nowhere]}
reranker:
  kind: cross_encoder         # a real one
  model: acme/reranker        # small
tagger: {kind: llm, generator: {kind: transformers, model: acme/llama}}
generator:
  kind: openai
  model: meta/llama
  base_url: http://127.0.0.1:9/v1
top_k: 3                      # enough
"""


class Done:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        assert "Traceback" not in self.err, self.err
        return next(line for line in self.err.splitlines() if line.startswith("error: "))


class Machine:
    """A machine with its own home directory, which reaches no hub but `hub`."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.cache = folder / "hf" / "hub"
        self.environment = {
            **os.environ,
            "COLUMNS": "200",
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "0",
            "QTTRAG_HOME": str(folder / "home"),
        }

    def run(self, *words: str | Path, **environment: str) -> Done:
        command = [sys.executable, "-m", "qttrag", *map(str, words)]
        env = {**self.environment, **environment}
        return Done(subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True))

    def keep(self, model: str, folder: Path, commit: str = COMMIT) -> None:
        """Write a model to the cache in the layout of the hub's library."""
        home = self.cache / f"models--{model.replace('/', '--')}"
        snapshot = home / "snapshots" / commit
        (home / "blobs").mkdir(parents=True)
        for file in (file for file in folder.rglob("*") if file.is_file()):
            blob = home / "blobs" / str(file.relative_to(folder)).replace("/", "-")
            shutil.copy(file, blob)
            link = snapshot / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(commit, encoding="utf-8")

    def fetched(self, model: str) -> set[str]:
        (snapshot,) = (self.cache / f"models--{model.replace('/', '--')}" / "snapshots").iterdir()
        return {str(file.relative_to(snapshot)) for file in snapshot.rglob("*") if not file.is_dir()}


@pytest.fixture
def hub(tiny: Path) -> Iterator[Hub]:
    with Hub() as hub:
        hub.push("acme/reranker", tiny / "reranker")
        hub.push("acme/llama", tiny / "llama")
        yield hub


@pytest.fixture
def machine(tmp_path: Path, hub: Hub) -> Machine:
    return Machine(tmp_path, hub)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ours.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def only_reranker(folder: Path, tiny: Path, **settings: str) -> Path:
    """Write a deployment with one model of the hub."""
    return deployment.write_deployment(
        folder,
        tiny,
        retriever={"kind": "bm25", "collections": ["nowhere"]},
        reranker={"kind": "cross_encoder", "model": "acme/reranker", **settings},
        translator=None,
        tagger=None,
        generator=SERVED,
    )


def write_recipe(folder: Path, tiny: Path) -> Path:
    """Write the recipe of "mixed", with an encoder of the hub, to the machine's recipes."""
    indexes = folder / "home" / "indexes"
    indexes.mkdir(parents=True)
    path = deployment.write_recipe(indexes, tiny)
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe["encoder"]["model"] = "acme/encoder"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def by_stage(done: Done) -> dict[str, Any]:
    return {row["stage"]: row for row in done.json}


def test_a_language_model_of_fasttext_is_pulled_pinned_and_shown_with_its_licence(
    machine: Machine, hub: Hub, tmp_path: Path, tiny: Path
) -> None:
    (tmp_path / "lid").mkdir()
    tiny_fasttext.write(tmp_path / "lid" / "model.bin", {"unjani": "__label__zul_Latn"})
    commit = hub.push("cis-lmu/glotlid", tmp_path / "lid")
    detector = {"kind": "fasttext", "model": "cis-lmu/glotlid", "file": "model.bin"}
    ours = deployment.write_deployment(
        tmp_path, tiny, retriever={"kind": "bm25", "collections": ["nowhere"]}, reranker={"kind": "none"},
        translator=None, tagger=None, generator=SERVED, detector=detector,
    )  # fmt: skip
    missing = machine.run("languages", "zulu", "-c", ours, HF_HUB_OFFLINE="1")
    assert "'model.bin' of model 'cis-lmu/glotlid' is not in the local cache; fetch it" in missing.error
    assert "cis-lmu/glotlid (Apache-2.0)" in machine.run("models", "pull", ours).err
    assert yaml.safe_load(ours.read_text("utf-8"))["detector"] == {**detector, "revision": commit}
    (zulu,) = machine.run("languages", "zulu", "-c", ours, "--json", HF_HUB_OFFLINE="1").json
    assert zulu["detected"] == "model"


def test_list_shows_the_commit_of_a_model_in_the_cache(machine: Machine, file: Path, tiny: Path) -> None:
    machine.keep("acme/reranker", tiny / "reranker")
    row = by_stage(machine.run("models", "list", file, "--json"))["reranker"]
    assert by_stage(machine.run("models", "list", "--config", file, "--json"))["reranker"] == row
    assert (row["model"], row["revision"], row["commit"]) == ("acme/reranker", None, COMMIT)
    assert row["bytes"] == sum(path.stat().st_size for path in (tiny / "reranker").iterdir())


def test_list_shows_missing_models_and_the_command_that_downloads_them(machine: Machine, file: Path) -> None:
    shown = machine.run("models", "list", file)
    assert shown.code == 0
    assert "missing" in shown.out
    assert f"qttrag models pull {file}" in shown.out


def test_list_does_not_call_the_hub(machine: Machine, file: Path, hub: Hub) -> None:
    assert by_stage(machine.run("models", "list", file, "--json"))["reranker"]["missing"]
    assert hub.asked == []


def test_list_tells_models_of_servers_from_models_in_folders(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    file = deployment.write_deployment(tmp_path, tiny, generator=SERVED)
    shown = by_stage(machine.run("models", "list", file, "--json"))
    assert shown["generator"]["served"] == SERVED["base_url"]
    assert shown["translator"]["folder"] == str(tiny / "nllb")
    assert not shown["generator"]["missing"]


def test_list_explains_why_a_folder_is_unusable(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "empty").mkdir()
    file = deployment.write_deployment(tmp_path, tiny, translator={"kind": "nllb", "model": "./empty"})
    assert "has no config.json" in machine.run("models", "list", file).out


def test_list_shows_the_encoder_of_a_recipe_that_is_not_built_yet(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    write_recipe(tmp_path, tiny)
    shown = machine.run("models", "list", deployment.write_deployment(tmp_path, tiny), "--json").json
    assert ("index mixed", "acme/encoder") in {(row["stage"], row["model"]) for row in shown}


def test_list_shows_the_tokenizer_that_counts_tokens_for_a_server(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    file = deployment.write_deployment(tmp_path, tiny, generator={**SERVED, "tokenizer": "acme/llama"})
    shown = machine.run("models", "list", file, "--json").json
    assert ("tokenizer", "acme/llama", True) in {(row["kind"], row["model"], row["missing"]) for row in shown}


def test_pull_writes_the_commit_after_each_model_and_changes_nothing_else(
    machine: Machine, file: Path, hub: Hub
) -> None:
    done = machine.run("models", "pull", file, "--json")
    assert done.code == 0, done.err
    commit = {row["stage"]: row["commit"] for row in done.json}
    expected = FILE.replace("# small\n", f"# small\n  revision: {commit['reranker']}\n")
    expected = expected.replace("acme/llama}", f"acme/llama, revision: {commit['tagger.generator']}}}")
    assert file.read_text(encoding="utf-8") == expected
    assert commit["generator"] is None


def test_pull_prints_the_downloaded_models_and_their_commits(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    commit = hub.push("acme/reranker", tiny / "reranker")
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny), HF_HUB_DISABLE_PROGRESS_BARS="0")
    assert re.search(rf"reranker: acme/reranker: downloaded, 0\.\d MB at {commit}, pinned in", done.out)
    assert "Fetching" in done.err


def test_pull_downloads_no_other_formats_and_no_copies(machine: Machine, tmp_path: Path, tiny: Path, hub: Hub) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(tiny / "encoder", repository)
    needed = {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()} - {"README.md"}
    for name in ("pytorch_model.bin", "onnx/model.onnx", "onnx/config.json", "m.gguf", "consolidated.safetensors"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_bytes(b"0")
    hub.push("acme/encoder", repository)
    write_recipe(tmp_path, tiny)
    machine.run("models", "pull", deployment.write_deployment(tmp_path, tiny))
    assert machine.fetched("acme/encoder") == needed
    assert {"modules.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json"} <= needed


def test_pull_without_pins_does_not_change_the_file(machine: Machine, file: Path) -> None:
    assert machine.run("models", "pull", file, "--no-pin").code == 0
    assert file.read_text(encoding="utf-8") == FILE
    assert not any(row["missing"] for row in machine.run("models", "list", file, "--json").json)


def test_a_pinned_and_downloaded_model_needs_no_network(machine: Machine, file: Path, hub: Hub) -> None:
    machine.run("models", "pull", file)
    hub.asked.clear()
    done = machine.run("models", "pull", file, HF_HUB_OFFLINE="1")
    assert done.code == 0, done.err
    assert done.out.count("already here") == 2
    assert hub.asked == []


def test_pull_pins_a_branch_at_its_newest_commit(machine: Machine, tmp_path: Path, tiny: Path, hub: Hub) -> None:
    file = only_reranker(tmp_path, tiny, revision="main")
    machine.run("models", "pull", file)
    newest = hub.push("acme/reranker", tiny / "reranker")
    file = only_reranker(tmp_path, tiny, revision="main")
    machine.run("models", "pull", file)
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["reranker"]["revision"] == newest


def test_a_model_that_is_named_twice_is_pinned_to_one_commit(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    old = hub.push("acme/llama", tiny / "llama")
    hub.push("acme/llama", tiny / "llama")
    generator = {"kind": "transformers", "model": "acme/llama"}
    tagger = {"kind": "llm", "generator": {**generator, "revision": old}}
    file = deployment.write_deployment(tmp_path, tiny, tagger=tagger, generator=generator)
    machine.run("models", "pull", file)
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["generator"]["revision"] == old


def test_an_installed_deployment_is_not_changed_and_its_lines_are_printed(tmp_path: Path, machine: Machine) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "qttrag", site / "qttrag")
    for folder in ("server", "prompts", "indexes"):
        shutil.copytree(ROOT / folder, site / "qttrag" / "_resources" / folder)
    packaged = site / "qttrag" / "_resources" / "server" / "laptop.yaml"
    packaged.write_text(FILE, encoding="utf-8")
    command = [sys.executable, "-m", "qttrag", "models", "pull"]
    env = {**machine.environment, "PYTHONPATH": str(site)}
    done = subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert packaged.read_text(encoding="utf-8") == FILE
    assert "tagger:\n  generator:\n    model: acme/llama\n    revision: " in done.stdout
    assert "qttrag init DIR" in done.stdout


def test_a_model_without_safetensors_is_rejected_before_any_download(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(tiny / "reranker", repository, ignore=shutil.ignore_patterns("*.safetensors"))
    (repository / "pytorch_model.bin").write_bytes(b"0")
    hub.push("acme/reranker", repository)
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny))
    assert done.code == 2
    assert "pytorch_model.bin" in done.error
    assert "refs/pr/N" in done.error
    assert hub.files_asked() == []


def test_a_conversion_under_another_revision_can_be_pulled(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    commit = hub.push("acme/reranker", tiny / "reranker", "refs/pr/7")
    file = only_reranker(tmp_path, tiny, revision="refs/pr/7")
    assert machine.run("models", "pull", file, "--json").json[0]["commit"] == commit


def test_the_error_about_a_gated_model_says_where_to_accept_its_terms(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    hub.gated.add("acme/reranker")
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny))
    assert done.code == 2
    assert "reranker: model 'acme/reranker' is gated; accept its terms" in done.error


def test_an_unknown_model_is_named(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny, model="acme/rerankre"))
    assert done.code == 2
    assert "has no model 'acme/rerankre', or it is private" in done.error


@pytest.mark.parametrize("revision", ["v9", COMMIT])
def test_an_unknown_revision_is_named(machine: Machine, tmp_path: Path, tiny: Path, revision: str) -> None:
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny, revision=revision))
    assert done.code == 2
    assert f"model 'acme/reranker' has no revision '{revision}'" in done.error


def test_a_model_larger_than_the_disk_is_rejected_before_any_download(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    hub.claimed["model.safetensors"] = 10**18
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny))
    assert "needs 1,000,000,000.0 GB" in done.error
    assert "HF_HOME" in done.error
    assert hub.files_asked() == []


def test_an_unreachable_hub_is_reported(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny), HF_ENDPOINT="http://127.0.0.1:9")
    assert done.code == 2
    assert "model 'acme/reranker' could not be downloaded (ConnectError: " in done.error


def test_without_a_network_the_error_names_the_cached_commit(machine: Machine, tmp_path: Path, tiny: Path) -> None:
    machine.keep("acme/reranker", tiny / "reranker")
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny), HF_HUB_OFFLINE="1")
    assert done.code == 2
    assert f"`revision: {COMMIT}`" in done.error


def test_a_missing_folder_is_not_searched_on_the_hub(machine: Machine, tmp_path: Path, tiny: Path, hub: Hub) -> None:
    done = machine.run("models", "pull", only_reranker(tmp_path, tiny, model="./nowhere"))
    assert "no model folder" in done.error
    assert hub.asked == []


def test_a_killed_pull_resumes_with_the_missing_files(machine: Machine, tmp_path: Path, tiny: Path, hub: Hub) -> None:
    file = only_reranker(tmp_path, tiny)
    hub.stalls = "model.safetensors"
    command = [sys.executable, "-m", "qttrag", "models", "pull", str(file)]
    pulling = subprocess.Popen(command, env=machine.environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    assert hub.stalled.wait(60)
    wait_for(lambda: len(machine.fetched("acme/reranker")) == len(list((tiny / "reranker").iterdir())) - 1)
    pulling.send_signal(signal.SIGKILL)
    pulling.wait(60)
    assert by_stage(machine.run("models", "list", file, "--json"))["reranker"]["missing"]

    hub.stalls = ""
    hub.asked.clear()
    assert machine.run("models", "pull", file).code == 0
    assert hub.files_asked() == ["model.safetensors"]


def test_doctor_prints_the_command_that_downloads_a_missing_model(machine: Machine, file: Path) -> None:
    findings = {finding["what"]: finding for finding in machine.run("doctor", "-c", file, "--json").json}
    assert findings["tagger.generator model"]["ok"] is False
    assert findings["reranker model"]["detail"].endswith(f"fetch it: qttrag models pull {file}")


def test_an_index_keeps_the_pulled_commit_when_the_hub_has_a_newer_one(
    machine: Machine, tmp_path: Path, tiny: Path, hub: Hub
) -> None:
    commit = hub.push("acme/encoder", tiny / "encoder")
    recipe = write_recipe(tmp_path, tiny)
    encoder = {"kind": "sentence_transformers", "model": "acme/encoder", "device": "cpu"}
    retriever = {"kind": "dense", "encoder": encoder, "collections": ["mixed"]}
    file = deployment.write_deployment(tmp_path, tiny, retriever=retriever)
    assert machine.run("models", "pull", file).code == 0
    assert yaml.safe_load(recipe.read_text(encoding="utf-8"))["encoder"]["revision"] == commit
    built = machine.run("index", "build", "mixed", HF_HUB_OFFLINE="1")
    assert built.code == 0, built.err

    hub.push("acme/encoder", tiny / "reranker")
    file = deployment.write_deployment(tmp_path, tiny, retriever=retriever)
    pulled = by_stage(machine.run("models", "pull", file, "--json"))
    assert (pulled["retriever.encoder"]["commit"], pulled["retriever.encoder"]["state"]) == (commit, "present")


def test_without_the_hubs_library_the_extra_is_named(machine: Machine, file: Path) -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None; from qttrag.cli import main; main()"
    command = [sys.executable, "-c", code, "models", "pull", str(file)]
    done = subprocess.run(command, env=machine.environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'qttrag[models]'" in Done(done).error


@pytest.mark.parametrize("words", [["--help"], ["models", "--help"], ["models", "pull", "--help"]])
def test_help_imports_no_hub(words: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "qttrag", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "models" in done.stdout
    assert "huggingface_hub" not in done.stderr
