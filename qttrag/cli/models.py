"""`qttrag models list|pull`: the models that a deployment names, and fetching them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.models import hub
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.models.inventory import NamedModel, PulledModel

app = typer.Typer(no_args_is_help=True, help="Look at the models of a deployment, and fetch them.")
Deployment = Annotated[str, typer.Argument(envvar="QTTRAG_CONFIG", help="A deployment file, or its name in server/.")]
_SHOWN = 12  # digits of a commit in a table


@app.command("list")
def list_models(deployment: Deployment = DEFAULT_DEPLOYMENT, as_json: output.Json = False) -> None:
    """List the models that a deployment names and where they are. Nothing is downloaded.

    Examples:

      qttrag models list

      qttrag models list server/paper.yaml --json
    """
    from qttrag import resources
    from qttrag.application import named_models
    from qttrag.config import deployment as config

    file = resources.find("server", deployment, what="deployment")
    found = [_facts(model) for model in named_models.named_models(file, config.load(file))]
    if as_json:
        output.say_json(found)
        return
    rows = [[f["stage"], f["kind"], f["model"], _short(f["revision"]), _where(f), _size(f["bytes"])] for f in found]
    output.console().print(output.table("stage", "kind", "model", "revision", "where", "size", rows=rows))
    for facts in found:
        if facts["problem"] and not facts["missing"]:
            output.say(facts["problem"])
    if any(facts["missing"] for facts in found):
        output.say(f"Fetch what is missing: qttrag models pull {deployment}")


@app.command()
def pull(
    deployment: Deployment = DEFAULT_DEPLOYMENT,
    no_pin: Annotated[bool, typer.Option("--no-pin", help="Leave the deployment file as it is.")] = False,
    as_json: output.Json = False,
) -> None:
    """Fetch the models that a deployment names and write each one's commit beside it, as `revision:`.

    A commit that is here already needs no network. To move on to a newer one, write `revision: main` and pull again.

    Examples:

      qttrag models pull

      qttrag models pull server/paper.yaml --no-pin
    """
    from qttrag import resources
    from qttrag.application import named_models
    from qttrag.config import deployment as config

    file = resources.find("server", deployment, what="deployment")
    done = []
    for pulled in named_models.pull(file, config.load(file), pin=not no_pin, begin=_begin):
        done.append(pulled)
        if not as_json:
            output.say(f"{pulled.named.place}: {pulled.named.model}: {_became(pulled)}")
    if as_json:
        output.say_json([_pulled_facts(pulled) for pulled in done])
    else:
        _say_what_pins([pulled for pulled in done if pulled.pinned is False])


def _begin(named: NamedModel) -> None:
    if not named.served:
        sys.stderr.write(f"{named.place}: {named.model} ...\n")  # its progress bars come below it


def _facts(named: NamedModel) -> dict[str, Any]:
    """Return what `list` says of a model. `missing`: it is to be fetched; `problem`: what keeps it from use."""
    from qttrag.config.yaml_files import hide_secrets
    from qttrag.errors import ConfigError
    from qttrag.models import loading
    from qttrag.models.inventory import bytes_on_disk

    facts: dict[str, Any] = {"stage": named.place, "kind": named.kind, "model": named.model, "revision": named.revision}
    found, problem = None, None
    if not named.served:
        try:
            found = named.locate()
        except ConfigError as error:
            problem = str(error)
    return {
        **facts,
        "served": hide_secrets(named.served),
        "folder": found and str(found.path),
        "commit": found.revision if found and loading.is_hub_name(named.model) else None,
        "bytes": found and bytes_on_disk(found.path),
        "missing": named.missing,
        "problem": problem,
    }


def _where(facts: dict[str, Any]) -> str:
    if facts["served"]:
        return f"served by {facts['served']}"
    if facts["commit"]:
        return f"hub cache at {_short(facts['commit'])}"
    if facts["folder"]:
        return f"folder {facts['folder']}"
    return "missing" if facts["missing"] else "unusable"


def _short(revision: str | None) -> str:
    """Return a revision as a table shows it: enough of a commit to tell it, a branch as it is."""
    if revision is None:
        return "-"
    return revision[:_SHOWN] if hub.COMMIT.fullmatch(revision) else revision


def _size(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.1f} MB"


def _became(pulled: PulledModel) -> str:
    from qttrag.config.yaml_files import hide_secrets
    from qttrag.models.inventory import bytes_on_disk

    if pulled.path is None:
        return f"served by {hide_secrets(pulled.named.served)}, not fetched"
    size = _size(bytes_on_disk(pulled.path))
    if pulled.state == "folder":
        return f"{size} in its own folder"
    at = f"{size} at {pulled.revision}"
    here = f"fetched, {at}" if pulled.state == "fetched" else f"here already, {at}"
    return f"{here}, pinned in {pulled.named.file}" if pulled.pinned else here


def _pulled_facts(pulled: PulledModel) -> dict[str, Any]:
    named = pulled.named
    return {
        "stage": named.place,
        "kind": named.kind,
        "model": named.model,
        "state": pulled.state,
        "commit": pulled.revision if pulled.state in ("present", "fetched") else None,
        "folder": pulled.path and str(pulled.path),
        "file": str(named.file),
        "pinned": pulled.pinned,
    }


def _say_what_pins(left: list[PulledModel]) -> None:
    """Say which lines would pin the models whose file was not to be written."""
    from qttrag import resources

    for file in dict.fromkeys(pulled.named.file for pulled in left):
        output.say(f"\n{file} was left as it is; these lines in it would pin what was fetched:")
        output.say(_lines([pulled for pulled in left if pulled.named.file == file]))
        if resources.is_packaged(file):
            output.say("It belongs to the installed package; `qttrag init DIR` makes a copy to edit.")


def _lines(pulled: list[PulledModel]) -> str:
    import yaml

    lines: dict[str, Any] = {}
    for each in pulled:
        inner = lines
        for key in each.named.keys:
            inner = inner.setdefault(key, {})
        inner |= {"model": each.named.model, "revision": each.revision}
    return yaml.safe_dump(lines, sort_keys=False).rstrip()
