"""Servers as processes: started apart from their parent, known by a file each, waited for, stopped."""

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
from qttrag.vllm.plan import Planned

_POLL_S = 0.5
_STOP_S = 30.0  # between asking a server to end and ending it
_ANSWER_S = 5.0
_TAIL = 15  # lines of a log that an error quotes


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started. `born`: when its process began, as the system tells it: numbers are used again.

    `api_key_env`: the environment variable with the key it asks for, where it does."""

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
class Status:
    """How a server does. Of one that is not ready the numbers are None."""

    running: Running
    state: Literal["ready", "starting", "gone"]
    in_work: int | None = None
    waiting: int | None = None
    cached_share: float | None = None


def folder() -> Path:
    """Return where the servers' files and logs are."""
    return resources.cache_folder() / "vllm"


def gpus() -> list[int]:
    """Return the indexes of this machine's NVIDIA GPUs."""
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return [int(line) for line in told.split() if line.isdigit()]


def up(
    planned: Sequence[Planned], *, ready_s: float, tell: Callable[[Planned, str], object] = lambda planned, line: None
) -> list[Running]:
    """Start the servers that do not run yet, at once where they share no GPU; wait until each lists its model.

    `tell` is given the last line of each log while it waits. What was started stays when another one fails.

    Raises:
        ConfigError: the command is not installed, or something else is at the address.
        StageError: a server ended, or was not ready in time."""
    known = {each.base_url: each for each in known_servers() if each.is_alive}
    for each in planned:
        old = known.get(each.base_url)
        if old is not None and old.model != each.model:
            raise ConfigError(f"{each.base_url} serves '{old.model}'; stop it first: qttrag vllm down")
        if old is None and _is_taken(each.port):
            raise ConfigError(f"port {each.port} is taken by a program that was not started here; choose another")
    deadline = time.monotonic() + ready_s
    running: dict[Planned, Running] = {}

    def wait_for(these: Iterable[Planned]) -> None:
        for each in these:
            _wait(each, running[each], deadline, ready_s, tell)

    for each in planned:
        # vLLM looks at what is free on a GPU while it starts: two at once would see one another grow
        wait_for([other for other in running if set(other.gpus) & set(each.gpus)])
        running[each] = known.get(each.base_url) or _start(each)
    wait_for(planned)
    return list(running.values())


def down(*, only: Sequence[str] = ()) -> list[Running]:
    """Stop the servers of this machine, or those at the base URLs `only`; return those that were running.

    Each is asked to end, and ended after half a minute."""
    chosen = [each for each in known_servers() if not only or each.base_url in only]
    stopped = [each for each in chosen if each.is_alive]
    for each in stopped:
        _signal(each, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while any(each.is_alive for each in stopped) and time.monotonic() < deadline:
        time.sleep(_POLL_S / 5)
    for each in stopped:
        _signal(each, signal.SIGKILL)  # its children, too, which may outlive it
    for each in chosen:
        _file(each.port).unlink(missing_ok=True)
    return stopped


def known_servers() -> list[Running]:
    """Return the servers that were started and not stopped, by port."""
    found = []
    for path in sorted(folder().glob("*.json")):
        with suppress(OSError, ValueError, TypeError):  # half a file of a start that was killed
            found.append(Running(**json.loads(path.read_text(encoding="utf-8"))))
    return found


def status(server: Running) -> Status:
    if not server.is_alive:
        return Status(server, "gone")
    if not _serves(server):
        return Status(server, "starting")
    told = _get(server, server.base_url.removesuffix("/v1") + "/metrics")
    queried, hit = _sum(told, "vllm:prefix_cache_queries_total"), _sum(told, "vllm:prefix_cache_hits_total")
    share = hit / queried if queried and hit is not None else None
    in_work, waiting = _sum(told, "vllm:num_requests_running"), _sum(told, "vllm:num_requests_waiting")
    return Status(
        server, "ready", None if in_work is None else int(in_work), None if waiting is None else int(waiting), share
    )


def _start(planned: Planned) -> Running:
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
                start_new_session=True,  # it outlives this command, and is stopped with its children
            )
    except OSError as error:
        raise ConfigError(
            f"cannot run '{planned.command[0]}' ({error.strerror}); pip install 'qttrag[vllm]', or name it with "
            "`command:` in server/vllm.yaml"
        ) from error
    running = Running(planned.model, planned.base_url, process.pid, _born(process.pid), str(log), planned.api_key_env)
    fields = {name: getattr(running, name) for name in Running.__dataclass_fields__}
    _file(planned.port).write_text(json.dumps(fields), encoding="utf-8")
    return running


def _wait(
    planned: Planned, server: Running, deadline: float, ready_s: float, tell: Callable[[Planned, str], object]
) -> None:
    while not _serves(server):
        with suppress(ChildProcessError):
            os.waitpid(server.pid, os.WNOHANG)  # a child that ended is no longer there
        is_alive, lines = server.is_alive, _log(server)
        if not is_alive:
            _file(server.port).unlink(missing_ok=True)
            raise StageError("vllm", f"{planned.model} ended while it started; {server.log}:\n" + "\n".join(lines))
        if time.monotonic() > deadline:
            raise StageError(
                "vllm", f"{planned.model} was not ready after {ready_s:g} s; raise `ready_s:` or read {server.log}"
            )
        tell(planned, lines[-1] if lines else "")
        time.sleep(_POLL_S)


def _log(server: Running) -> list[str]:
    with suppress(OSError):
        lines = Path(server.log).read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_TAIL:]
    return []


def _file(port: int) -> Path:
    return folder() / f"{port}.json"


def _signal(server: Running, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)


def _born(pid: int) -> str:
    asked = ["ps", "-o", "lstart=,stat=", "-p", str(pid)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return " ".join(told[:-1]) if told and not told[-1].startswith("Z") else ""


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(_ANSWER_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serves(server: Running) -> bool:
    with suppress(ValueError, KeyError, TypeError):
        told = json.loads(_get(server, f"{server.base_url}/models") or "{}")
        return server.model in [each["id"] for each in told["data"]]
    return False


def _get(server: Running, url: str) -> str:
    """Return a page of a server, "" where it gives none."""
    request = urllib.request.Request(url)  # noqa: S310  the deployment's own address
    if key := os.environ.get(server.api_key_env):
        request.add_header("Authorization", f"Bearer {key}")
    with suppress(OSError), urllib.request.urlopen(request, timeout=_ANSWER_S) as reply:  # noqa: S310
        told: bytes = reply.read()
        return told.decode("utf-8", "replace")
    return ""


def _sum(metrics: str, name: str) -> float | None:
    values = re.findall(rf"^{re.escape(name)}(?:\{{.*?\}})? (\S+)$", metrics, re.MULTILINE)
    return sum(map(float, values)) if values else None
