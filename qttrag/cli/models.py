"""`qttrag models list|pull`: the models that a deployment names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.cli.groups import group
from qttrag.models import hub
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.models.inventory import NamedModel, PulledModel

app = group("List or download the models of a deployment.")
Deployment = Annotated[str, typer.Argument(envvar="QTTRAG_CONFIG", help="A deployment file, or its name in server/.")]
Config = Annotated[str | None, typer.Option("--config", "-c", help="The same as the argument.")]
_COMMIT_DIGITS = 12  # of a commit in a table


@app.command("list")
def list_models(
    deployment: Deployment = DEFAULT_DEPLOYMENT, config: Config = None, as_json: output.Json = False
) -> None:
    """List the models that a deployment names and where they are. Nothing is downloaded.

    licence: of weights whose terms the documentation states; look others up on the hub.

    Examples:

      qttrag models list

      qttrag models list server/served.yaml --json
    """
    from qttrag import resources
    from qttrag.application.named_models import named_models
    from qttrag.config.deployment import load

    file = resources.find("server", config or deployment, what="deployment")
    models = [_model_as_dict(model) for model in named_models(file, load(file))]
    if as_json:
        output.say_json(models)
        return
    rows = [
        [m["stage"], m["kind"], m["model"], _short(m["revision"]), _where(m), _size(m["bytes"]), m["licence"] or "-"]
        for m in models
    ]
    output.console().print(output.table("stage", "kind", "model", "revision", "where", "size", "licence", rows=rows))
    for model in models:
        if model["problem"] and not model["missing"]:
            output.say(model["problem"])
    if any(model["missing"] for model in models):
        output.say(f"Download the missing models: qttrag models pull {config or deployment}")


@app.command()
def pull(
    deployment: Deployment = DEFAULT_DEPLOYMENT,
    config: Config = None,
    no_pin: Annotated[bool, typer.Option("--no-pin", help="Do not change the deployment file.")] = False,
    as_json: output.Json = False,
) -> None:
    """Download the models that a deployment names and write the commit of each to the file, as `revision:`.

    A commit that is already on this machine needs no network. To update, write `revision: main` and pull again.

    Examples:

      qttrag models pull

      qttrag models pull server/served.yaml --no-pin
    """
    from qttrag import resources
    from qttrag.application.named_models import pull as pull_models
    from qttrag.config.deployment import load

    file = resources.find("server", config or deployment, what="deployment")
    models = []
    for pulled in pull_models(file, load(file), pin=not no_pin, begin=_announce):
        models.append(pulled)
        if not as_json:
            output.say(f"{pulled.named.place}: {pulled.named.model}: {_outcome(pulled)}")
    if as_json:
        output.say_json([_pulled_as_dict(pulled) for pulled in models])
    else:
        _say_pins([pulled for pulled in models if pulled.pinned is False])


def _announce(named: NamedModel) -> None:
    from qttrag.models import licences

    if not named.served:
        terms = licences.licence(named.model)
        sys.stderr.write(
            f"{named.place}: {named.model}{f' ({terms})' if terms else ''} ...\n"
        )  # the progress bars of the download follow


def _model_as_dict(named: NamedModel) -> dict[str, Any]:
    """Return a model as `list` prints it. `missing`: not downloaded yet; `problem`: why it cannot be used."""
    from qttrag.config.yaml_files import hide_secrets
    from qttrag.errors import ConfigError
    from qttrag.models import licences, loading
    from qttrag.models.inventory import bytes_on_disk

    located, problem = None, None
    if not named.served:
        try:
            located = named.locate()
        except ConfigError as error:
            problem = str(error)
    return {
        "stage": named.place,
        "kind": named.kind,
        "model": named.model,
        "revision": named.revision,
        "served": hide_secrets(named.served),
        "folder": located and str(located.path),
        "commit": located.revision if located and loading.is_hub_name(named.model) else None,
        "bytes": located and bytes_on_disk(located.path),
        "licence": licences.licence(named.model),
        "missing": named.missing,
        "problem": problem,
    }


def _where(model: dict[str, Any]) -> str:
    if model["served"]:
        return f"served by {model['served']}"
    if model["commit"]:
        return f"hub cache at {_short(model['commit'])}"
    if model["folder"]:
        return f"folder {model['folder']}"
    return "missing" if model["missing"] else "unusable"


def _short(revision: str | None) -> str:
    """Return a revision as a table shows it: the first digits of a commit, a whole branch name."""
    if revision is None:
        return "-"
    return revision[:_COMMIT_DIGITS] if hub.COMMIT.fullmatch(revision) else revision


def _size(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.1f} MB"


def _outcome(pulled: PulledModel) -> str:
    from qttrag.config.yaml_files import hide_secrets
    from qttrag.models.inventory import bytes_on_disk

    if pulled.path is None:
        return f"served by {hide_secrets(pulled.named.served)}, not downloaded"
    size = _size(bytes_on_disk(pulled.path))
    if pulled.state == "folder":
        return f"{size} in its own folder"
    at = f"{size} at {pulled.revision}"
    outcome = f"downloaded, {at}" if pulled.state == "fetched" else f"already here, {at}"
    return f"{outcome}, pinned in {pulled.named.file}" if pulled.pinned else outcome


def _pulled_as_dict(pulled: PulledModel) -> dict[str, Any]:
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


def _say_pins(unpinned: list[PulledModel]) -> None:
    """Print the lines that would pin models whose file could not be changed."""
    from qttrag import resources

    for file in dict.fromkeys(pulled.named.file for pulled in unpinned):
        output.say(f"\n{file} was not changed; these lines in it would pin the downloaded models:")
        output.say(_lines([pulled for pulled in unpinned if pulled.named.file == file]))
        if resources.is_packaged(file):
            output.say("The file belongs to the installed package; `qttrag init DIR` makes a copy for editing.")


def _lines(models: list[PulledModel]) -> str:
    import yaml

    lines: dict[str, Any] = {}
    for pulled in models:
        inner = lines
        for key in pulled.named.keys:
            inner = inner.setdefault(key, {})
        inner |= {"model": pulled.named.model, "revision": pulled.revision}
    return yaml.safe_dump(lines, sort_keys=False).rstrip()
