"""`qttrag vllm up|down|status|models`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.groups import group

if TYPE_CHECKING:
    from qttrag.vllm.plan import PlannedServer

app = group("Start and stop vLLM for the models of a deployment.")
Settings = Annotated[str, typer.Option("--settings", help="A file like server/vllm.yaml, or its name in server/.")]


@app.command("up")
def up(
    config: output.Config = "served",
    settings: Settings = "vllm",
    gpus: Annotated[str | None, typer.Option(help="GPUs to use, e.g. 0,1; none: the CPU. Default: all.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands without running them.")] = False,
    overrides: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Start a vLLM server for each model with a base URL on this machine, and wait until all are ready.

    Flags come from server/vllm.yaml; the longest prompt is the generator's `context:`. The servers keep running after
    the command; `qttrag vllm down` stops them. `qttrag vllm status` shows the paths of their logs.

    Examples:

      qttrag vllm up --config served

      qttrag vllm up --config my.yaml --gpus 0 --dry-run
    """
    from qttrag.config import deployment as configuration
    from qttrag.vllm import plan, processes

    known = plan.load(settings)
    deployment = configuration.load(config, output.pairs(overrides, "--set"))
    planned = plan.plan(deployment, known, processes.gpus() if gpus is None else _indexes(gpus))
    if dry_run:
        lines = [shlex.join(server.command) for server in planned]
        output.say_json(lines) if as_json else output.say("\n".join(lines))
        return
    with output.console(stderr=True).status("starting") as shown:

        def tell(server: PlannedServer, line: str) -> None:
            shown.update(f"{server.model}: {output.printable(line)[:120]}")

        running = processes.up(planned, ready_s=known.ready_s, tell=tell)
    if as_json:
        output.say_json([asdict(server) for server in running])
    else:
        output.say("\n".join(f"ready: {server.model} at {server.base_url} (log: {server.log})" for server in running))


@app.command("down")
def down(
    base_urls: Annotated[list[str] | None, typer.Argument(help="Only the servers at these base URLs.")] = None,
    as_json: output.Json = False,
) -> None:
    """Stop the servers that `qttrag vllm up` started.

    Example: qttrag vllm down http://127.0.0.1:8001/v1
    """
    from qttrag.vllm import processes

    stopped = processes.down(only=[url.rstrip("/") for url in base_urls or []])
    if as_json:
        output.say_json([asdict(server) for server in stopped])
    else:
        lines = [f"stopped: {server.model} at {server.base_url}" for server in stopped]
        output.say("\n".join(lines) or "no server was running")


@app.command("status")
def status(as_json: output.Json = False) -> None:
    """Show the servers that were started, their requests and the share of prompt tokens from the prefix cache.

    Example: qttrag vllm status
    """
    from qttrag.vllm import processes

    servers = [processes.status(server) for server in processes.known_servers()]
    if as_json:
        output.say_json([asdict(server) for server in servers])
        return
    rows = [
        [s.running.model, s.running.base_url, s.state, _cell(s.in_work), _cell(s.waiting),
         "" if s.cached_share is None else f"{100 * s.cached_share:.0f} %", s.running.log]
        for s in servers
    ]  # fmt: skip
    output.console().print(
        output.table("model", "base URL", "state", "running", "waiting", "prefix cache", "log", rows=rows)
    )


@app.command("models")
def models(settings: Settings = "vllm", as_json: output.Json = False) -> None:
    """List the models in server/vllm.yaml with their memory and licences.

    Example: qttrag vllm models
    """
    from qttrag.vllm import plan

    known = plan.load(settings).models
    if as_json:
        output.say_json({name: model.model_dump() for name, model in known.items()})
        return
    rows = [
        [name, f"{model.weights_gib:g}", _cell(model.kv_mib_per_1000_tokens), model.licence, model.note]
        for name, model in known.items()
    ]
    columns = ("model", "weights, GiB", "cache, MiB per 1,000 tokens", "licence", "note")
    output.console().print(output.table(*columns, rows=rows))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _indexes(text: str) -> list[int]:
    from qttrag.errors import InputError

    if text == "none":
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--gpus '{text}': write indexes separated by commas, such as 0,1, or none") from error
