"""`qttrag vllm`: the servers of a deployment, started, looked at and stopped."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output

if TYPE_CHECKING:
    from qttrag.vllm.plan import PlannedServer

app = typer.Typer(no_args_is_help=True, help="Start and stop vLLM for the models of a deployment.")
Settings = Annotated[str, typer.Option("--settings", help="A file like server/vllm.yaml, or its name in server/.")]


@app.command("up")
def up(
    config: output.Config = "paper",
    settings: Settings = "vllm",
    gpus: Annotated[str | None, typer.Option(help="Which to use, e.g. 0,1; none: the CPU. Else all there are.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the commands, start nothing.")] = False,
    overrides: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Start a vLLM server for each model that the deployment asks at 127.0.0.1, and wait until they are ready.

    Flags come from server/vllm.yaml; the longest prompt is the generator's `context:`. The servers go on running;
    `qttrag vllm down` stops them. Their logs are in the cache folder; `qttrag vllm status` says where.

    Examples:

      qttrag vllm up --config paper

      qttrag vllm up --config my.yaml --gpus 0 --dry-run
    """
    from qttrag.config import deployment as configuration
    from qttrag.vllm import plan, processes

    known = plan.load(settings)
    deployment = configuration.load(config, output.pairs(overrides, "--set"))
    planned = plan.plan(deployment, known, processes.gpus() if gpus is None else _indexes(gpus))
    if dry_run:
        lines = [shlex.join(each.command) for each in planned]
        output.say_json(lines) if as_json else output.say("\n".join(lines))
        return
    with output.console(stderr=True).status("starting") as shown:

        def tell(each: PlannedServer, line: str) -> None:
            shown.update(f"{each.model}: {output.printable(line)[:120]}")

        running = processes.up(planned, ready_s=known.ready_s, tell=tell)
    if as_json:
        output.say_json([asdict(each) for each in running])
    else:
        output.say("\n".join(f"ready: {each.model} at {each.base_url} (log: {each.log})" for each in running))


@app.command("down")
def down(
    base_urls: Annotated[list[str] | None, typer.Argument(help="Only the servers at these base URLs.")] = None,
    as_json: output.Json = False,
) -> None:
    """Stop the servers that `qttrag vllm up` has started.

    Example: qttrag vllm down http://127.0.0.1:8001/v1
    """
    from qttrag.vllm import processes

    stopped = processes.down(only=[url.rstrip("/") for url in base_urls or []])
    if as_json:
        output.say_json([asdict(each) for each in stopped])
    else:
        output.say("\n".join(f"stopped: {each.model} at {each.base_url}" for each in stopped) or "none was running")


@app.command("status")
def status(as_json: output.Json = False) -> None:
    """Show the servers that were started, what they have to do and how much of their prompts they knew already.

    Example: qttrag vllm status
    """
    from qttrag.vllm import processes

    found = [processes.status(server) for server in processes.known_servers()]
    if as_json:
        output.say_json([asdict(each) for each in found])
        return
    rows = [
        [each.running.model, each.running.base_url, each.state, _cell(each.in_work), _cell(each.waiting),
         "" if each.cached_share is None else f"{100 * each.cached_share:.0f} %", each.running.log]
        for each in found
    ]  # fmt: skip
    output.console().print(
        output.table("model", "base URL", "state", "in work", "waiting", "prompt known", "log", rows=rows)
    )


@app.command("models")
def models(settings: Settings = "vllm", as_json: output.Json = False) -> None:
    """List the models that server/vllm.yaml knows, with the memory they take and their licences.

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
        raise InputError(f"--gpus '{text}': write indexes with commas, as 0,1, or none") from error
