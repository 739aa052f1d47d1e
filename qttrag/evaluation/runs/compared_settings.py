"""What differs between the settings of two deployments, suites or runs, with all defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from qttrag import resources
from qttrag.application.effective import effective, flat, options_of
from qttrag.config import deployment as config
from qttrag.config.deployment import Deployment
from qttrag.config.yaml_files import read_yaml
from qttrag.errors import ConfigError, InputError
from qttrag.evaluation import suites
from qttrag.evaluation.runs import folder
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.suites import Suite

Kind = Literal["deployment", "suite", "run"]
KINDS: tuple[Kind, ...] = ("deployment", "suite", "run")


class Settings(NamedTuple):
    """`deployment`: the settings of the (first) generator's deployment, by dotted names. `suite`: those of a suite or a
    run, nested; else empty."""

    kind: Kind
    deployment: Mapping[str, Any]
    suite: Mapping[str, Any]


class Difference(NamedTuple):
    """A setting with two values; None: absent."""

    setting: str
    one: Any
    other: Any


def read(value: str, kind: Kind) -> Settings:
    """Return the settings of a file, of a name, or of the folder of a run.

    Raises:
        ConfigError, InputError: there is none of this kind, or it is invalid."""
    if kind == "deployment":
        return Settings(kind, flat(effective(config.load(value))), {})
    if kind == "suite":
        return _of_suite(suites.load(value))
    path = Path(value)
    return of_run(folder.open_run(path if path.is_dir() else resources.results_folder() / value))


def kinds(value: str) -> list[Kind]:
    """Return what `value` may be: the path of a file or folder is one kind, a name may be several.

    Raises:
        InputError: it is none."""
    path = Path(value)
    if path.is_dir():
        return ["run"]
    if path.is_file():
        return ["deployment" if "generator" in read_yaml(path) else "suite"]
    found: list[Kind] = [kind for kind, exists in _NAMED.items() if exists(value)]
    if not found:
        raise InputError(f"'{value}' is no deployment, suite or run; give a file, a folder of a run, or a name")
    return found


def common_kind(one: str, other: str) -> tuple[Kind, Kind]:
    """Return the kinds in which two values are compared: the same one if both may be it, the first of `KINDS`."""
    first, second = kinds(one), kinds(other)
    shared = [kind for kind in KINDS if kind in first and kind in second]
    return (shared[0], shared[0]) if shared else (first[0], second[0])


def _named(folder_name: str) -> Callable[[str], bool]:
    def exists(value: str) -> bool:
        try:
            resources.find(folder_name, value, what=folder_name)
        except ConfigError:
            return False
        return True

    return exists


_NAMED: Mapping[Kind, Callable[[str], bool]] = {
    "deployment": _named("server"),
    "suite": _named("eval"),
    "run": lambda value: (resources.results_folder() / value / folder.FILE).is_file(),
}


def _of_suite(suite: Suite) -> Settings:
    deployments = {name: suite.deployment_for(name) for name in suite.generators}
    first = effective(next(iter(deployments.values())))
    own = {
        "strategies": {name: _row(suite, name, first["strategies"]) for name in suite.strategies},
        "generators": {name: effective(deployment)["generator"] for name, deployment in deployments.items()},
        "datasets": suite.model_dump(mode="json", by_alias=True)["datasets"],
        "headline": suite.headline.model_dump(),
    }
    return Settings("suite", flat(first), own)


def _row(suite: Suite, name: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    strategy = suite.strategy(name).strategy
    return {**defaults.get(strategy, {}), **suite.strategies[name], "strategy": strategy}


def of_run(run: Run, generator: str | None = None) -> Settings:
    """Return the settings of a run; `generator`: by default the first."""
    deployments = {name: _recorded(settings) for name, settings in run.identity.get("deployments", {}).items()}
    first = deployments.get(generator or next(iter(deployments), ""), {})
    suite = run.identity["suite"]
    own = {
        "strategies": {
            name: _recorded_row(name, row, first.get("strategies", {})) for name, row in suite["strategies"].items()
        },
        "generators": {name: each.get("generator") for name, each in deployments.items()},
        **{key: suite.get(key) for key in ("datasets", "headline")},
        **{key: run.identity.get(key) for key in ("qttrag", "models", "collections", "prompts", "questions", "run")},
    }
    return Settings("run", flat(first), own)


def _recorded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run recorded with their defaults; alone, if their kinds exist no longer."""
    try:
        return effective(Deployment.model_validate(settings))
    except (ValidationError, ConfigError):
        return dict(settings)


def _recorded_row(name: str, row: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in row.items() if key != "strategy"}
    strategy = str(row.get("strategy", name))
    try:
        return {"strategy": strategy, **(defaults.get(strategy) or options_of(strategy, {})), **options}
    except ConfigError:  # of another package, which is not installed
        return {"strategy": strategy, **options}


def differences(one: Settings, other: Settings) -> list[Difference]:
    """Return the settings that differ, in order. Two suites or runs are compared as wholes, else the deployments.

    A strategy, generator or dataset that only one suite has is one difference."""
    if not (one.suite and other.suite):
        return _differences(one.deployment, other.deployment)
    deployed = [
        {name: value for name, value in each.deployment.items() if name.split(".")[0] not in _DEPLOYED}
        for each in (one, other)
    ]
    return [*_differences(*deployed), *_differences(*_common(one.suite, other.suite))]


_DEPLOYED = ("generator", "strategies", "strategy")  # in a suite, there are tables of these
_TABLES = ("strategies", "generators", "datasets")


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two suites by dotted names; a row of a table that one of them lacks is one value."""
    rows: dict[str, tuple[Any, Any]] = {}
    for table in _TABLES:
        for name in dict.fromkeys([*one[table], *other[table]]):
            rows[f"{table}.{name}"] = (one[table].get(name), other[table].get(name))
    flattened = []
    for side, suite in enumerate((one, other)):
        values = flat({key: value for key, value in suite.items() if key not in _TABLES})
        for name, pair in rows.items():
            values |= {name: pair[side]} if None in pair else flat(pair[side], name)
        flattened.append(values)
    return flattened[0], flattened[1]


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    pairs = [Difference(name, one.get(name), other.get(name)) for name in dict.fromkeys([*one, *other])]
    return [pair for pair in pairs if pair.one != pair.other]
