"""Try the clients of OpenAI's API against `qttrag serve` on the demo, and print what each can do.

python -m tests.clients.matrix --environment FOLDER [--llama-index FOLDER] [--node FOLDER] [--webui FOLDER]

The folders are virtual environments with the clients; of --node the folder with node_modules. `make test-clients` makes
them. A client whose folder is not given is left out."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from qttrag.errors import CollectionError
from qttrag.indexes import collection
from tests.processes import serving

HERE = Path(__file__).parent
COLUMNS = ("plain", "stream", "follow_up", "tools", "models", "embeddings", "title")
KEY = "key-of-the-clients"
_SCRIPT_S = 300


class Client(NamedTuple):
    """A client, the script that tries it, and the command that runs the script."""

    name: str
    script: str
    runner: Path | str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True)
    parser.add_argument("--llama-index", type=Path)
    parser.add_argument("--node", type=lambda folder: Path(folder).resolve())
    parser.add_argument("--webui", type=Path)
    given = parser.parse_args()
    _build("demo-fi")
    with ExitStack() as running, tempfile.TemporaryDirectory() as temporary:
        service = running.enter_context(_service(Path(temporary)))
        environment = {
            "QTTRAG_URL": service,
            "QTTRAG_KEY": KEY,
            "CLIENTS_NODE": str(given.node and given.node.resolve()),
        }
        if given.webui:
            environment["WEBUI_URL"] = running.enter_context(_open_webui(Path(temporary), given.webui, service))
        results = {client.name: _tried(client, environment) for client in _clients(given)}
    _show(results)
    sys.exit(any(problem for checks in results.values() for problem in checks.values()))


def _clients(given: argparse.Namespace) -> Iterator[Client]:
    python = given.environment / "bin" / "python"
    yield Client("openai (Python)", "openai_python.py", python)
    if given.node:
        yield Client("openai (npm)", "openai_node.mjs", "node")
    yield Client("langchain-openai", "langchain_client.py", python)
    yield Client("litellm", "litellm_client.py", python)
    yield Client("llm", "llm_client.py", python)
    if given.llama_index:
        yield Client("llama-index", "llama_index_client.py", given.llama_index / "bin" / "python")
    if given.webui:
        yield Client("Open WebUI", "open_webui.py", given.webui / "bin" / "python")


def _build(name: str) -> None:
    try:
        collection.find(name)
    except CollectionError:
        subprocess.run([sys.executable, "-m", "demo.corpus"], check=True)
        subprocess.run([sys.executable, "-m", "qttrag", "index", "build", name], check=True)


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    """Run the service with a key while the block runs; yields its address."""
    url = f"http://127.0.0.1:{(port := _free_port())}"
    command = [sys.executable, "-m", "qttrag", "serve", "-c", "demo", "--port", str(port)]
    command += ["--set", "retriever.collections=[demo-fi]"]
    with serving(command, f"{url}/readyz", folder / "service.log", environment={"QTTRAG_API_KEYS": KEY}):
        yield url


@contextmanager
def _open_webui(folder: Path, environment: Path, service: str) -> Iterator[str]:
    """Run Open WebUI without accounts, connected to the service alone; yields its address."""
    url = f"http://127.0.0.1:{(port := _free_port())}"
    settings = {
        "DATA_DIR": str(folder),
        "WEBUI_AUTH": "False",
        "WEBUI_SECRET_KEY": KEY,
        "OPENAI_API_BASE_URL": f"{service}/v1",
        "OPENAI_API_KEY": KEY,
        "ENABLE_OLLAMA_API": "false",
        "OFFLINE_MODE": "true",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",  # else it fetches a model at its start
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "true",
    }
    command = [str(environment / "bin" / "open-webui"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, f"{url}/health", folder / "webui.log", environment=settings):
        yield url


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _tried(client: Client, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return what the script of a client printed: what is wrong with each check, or None."""
    command = [str(client.runner), str(HERE / client.script)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=_SCRIPT_S)
    if done.returncode:
        return {"plain": f"the script failed: {done.stderr[-1000:]}"}
    results: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return results


def _show(results: Mapping[str, Mapping[str, str | None]]) -> None:
    table = Table("client", *(name.replace("_", "-") for name in COLUMNS))
    for name, checks in results.items():
        cells = ("–" if column not in checks else "FAILED" if checks[column] else "ok" for column in COLUMNS)
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    for name, checks in results.items():
        for column, problem in checks.items():
            if problem:
                console.print(f"{name}, {column}: {problem}", markup=False)


if __name__ == "__main__":
    main()
