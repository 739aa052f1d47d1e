"""Server processes: starts, waits for, lists and stops them. One file per server outlives the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qttrag import resources
from qttrag.errors import ConfigError, StageError
from qttrag.vllm.plan import PlannedServer

Tell = Callable[[PlannedServer, str], object]
"""Receives the last line of a server's log while it starts."""

_POLL_S = 0.5
_STOP_S = 30.0  # between SIGTERM and SIGKILL
_ANSWER_S = 5.0
_TAIL = 15  # lines of the log in an error


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that was started. `born`: the start time of its process, since process numbers are reused.

    `api_key_env`: the environment variable with its API key, if it needs one."""

    model: str
    base_url: str
    pid: int
    born: str
    log: str
    api_key_env: str

    @property
    def port(self) -> int:
        return int(self.base_url.split(":")[-1].split("/")[0])

    @property
    def is_alive(self) -> bool:
        return self.born != "" and _born(self.pid) == self.born


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The state of a server. The numbers are None unless it is ready and reports them.

    `in_work`, `waiting`: requests. `cached_share`: of the prompt tokens, from the prefix cache."""

    running: RunningServer
    state: Literal["ready", "starting", "gone"]
    in_work: int | None = None
    waiting: int | None = None
    cached_share: float | None = None


def folder() -> Path:
    """Return the folder of the servers' files and logs."""
    return resources.cache_folder() / "vllm"


def gpus() -> list[int]:
    """Return the indexes of this machine's NVIDIA GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return [int(line) for line in output.split() if line.isdigit()]


def up(
    planned: Sequence[PlannedServer], *, ready_s: float, tell: Tell = lambda server, line: None
) -> list[RunningServer]:
    """Start the servers that are not running, in parallel if they share no GPU; wait until each lists its model.

    If one server fails, the others keep running.

    Raises:
        ConfigError: the command is not installed, or another program has the address.
        StageError: a server exited, or was not ready in time."""
    alive = {server.base_url: server for server in known_servers() if server.is_alive}
    for server in planned:
        old = alive.get(server.base_url)
        if old is not None and old.model != server.model:
            raise ConfigError(f"{server.base_url} serves '{old.model}'; stop it first: qttrag vllm down")
        if old is None and _is_taken(server.port):
            raise ConfigError(f"port {server.port} is in use by another program; choose another port")
    deadline = time.monotonic() + ready_s
    running: dict[PlannedServer, RunningServer] = {}

    def wait_for(servers: Iterable[PlannedServer]) -> None:
        for server in servers:
            _wait(server, running[server], deadline, ready_s, tell)

    for server in planned:
        # vLLM measures the free memory of its GPU during its start: two starts in parallel would disturb each other
        wait_for([other for other in running if set(other.gpus) & set(server.gpus)])
        running[server] = alive.get(server.base_url) or _start(server)
    wait_for(planned)
    return list(running.values())


def down(*, only: Sequence[str] = ()) -> list[RunningServer]:
    """Stop the servers of this machine, or those at the base URLs `only`; return those that were running.

    A server that has not exited after half a minute is killed."""
    chosen = [server for server in known_servers() if not only or server.base_url in only]
    stopped = [server for server in chosen if server.is_alive]
    for server in stopped:
        _signal(server, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while any(server.is_alive for server in stopped) and time.monotonic() < deadline:
        time.sleep(_POLL_S / 5)
    for server in stopped:
        _signal(server, signal.SIGKILL)  # also its children, which may outlive it
    for server in chosen:
        _file(server.port).unlink(missing_ok=True)
    return stopped


def known_servers() -> list[RunningServer]:
    """Return the servers that were started and not stopped, by port."""
    servers = []
    for path in sorted(folder().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):  # an incomplete file, of a start that was killed
            servers.append(RunningServer(**json.loads(path.read_text(encoding="utf-8"))))
    return servers


def status(server: RunningServer) -> ServerStatus:
    if not server.is_alive:
        return ServerStatus(server, "gone")
    if not _serves(server):
        return ServerStatus(server, "starting")
    metrics = _get(server, server.base_url.removesuffix("/v1") + "/metrics")
    queried, hit = _sum(metrics, "vllm:prefix_cache_queries_total"), _sum(metrics, "vllm:prefix_cache_hits_total")
    share = hit / queried if queried and hit is not None else None
    in_work, waiting = _sum(metrics, "vllm:num_requests_running"), _sum(metrics, "vllm:num_requests_waiting")
    return ServerStatus(
        server, "ready", None if in_work is None else int(in_work), None if waiting is None else int(waiting), share
    )


def _start(planned: PlannedServer) -> RunningServer:
    folder().mkdir(parents=True, exist_ok=True)
    log = folder() / f"{planned.port}.log"
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  the command is the user's own
                planned.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict(planned.environment)},
                start_new_session=True,  # outlives this command, and is stopped together with its children
            )
    except OSError as error:
        raise ConfigError(
            f"cannot run '{planned.command[0]}' ({error.strerror}); pip install 'qttrag[vllm]', or set "
            "`command:` in server/vllm.yaml"
        ) from error
    running = RunningServer(
        planned.model, planned.base_url, process.pid, _born(process.pid), str(log), planned.api_key_env
    )
    fields = {name: getattr(running, name) for name in RunningServer.__dataclass_fields__}
    _file(planned.port).write_text(json.dumps(fields), encoding="utf-8")
    return running


def _wait(
    planned: PlannedServer,
    server: RunningServer,
    deadline: float,
    ready_s: float,
    tell: Tell,
) -> None:
    while not _serves(server):
        with suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)  # removes a child that has exited
        is_alive, lines = server.is_alive, _log(server)
        if not is_alive:
            _file(server.port).unlink(missing_ok=True)
            raise StageError("vllm", f"{planned.model} exited during its start; {server.log}:\n" + "\n".join(lines))
        if time.monotonic() > deadline:
            raise StageError(
                "vllm", f"{planned.model} was not ready after {ready_s:g} s; raise `ready_s:` or read {server.log}"
            )
        tell(planned, lines[-1] if lines else "")
        time.sleep(_POLL_S)


def _log(server: RunningServer) -> list[str]:
    with suppress(OSError):
        lines = Path(server.log).read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_TAIL:]
    return []


def _file(port: int) -> Path:
    return folder() / f"{port}.json"


def _signal(server: RunningServer, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)


def _born(pid: int) -> str:
    """Return the start time of a process as `ps` prints it; "": it does not exist, or has exited."""
    command = ["ps", "-o", "lstart=,stat=", "-p", str(pid)]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return " ".join(words[:-1]) if words and not words[-1].startswith("Z") else ""


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_ANSWER_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serves(server: RunningServer) -> bool:
    with suppress(ValueError, KeyError, TypeError):
        listed = json.loads(_get(server, f"{server.base_url}/models") or "{}")
        return server.model in [model["id"] for model in listed["data"]]
    return False


def _get(server: RunningServer, url: str) -> str:
    """Return a page of a server; "": it did not reply."""
    request = urllib.request.Request(url)  # noqa: S310  the deployment's own address
    if key := os.environ.get(server.api_key_env):
        request.add_header("Authorization", f"Bearer {key}")
    with suppress(OSError), urllib.request.urlopen(request, timeout=_ANSWER_S) as reply:  # noqa: S310
        page: bytes = reply.read()
        return page.decode("utf-8", "replace")
    return ""


def _sum(metrics: str, name: str) -> float | None:
    values = re.findall(rf"^{re.escape(name)}(?:\{{.*?\}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, values)) if values else None
