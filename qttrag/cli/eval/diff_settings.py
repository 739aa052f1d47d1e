"""`qttrag eval diff-settings`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qttrag.cli import output

if TYPE_CHECKING:
    from qttrag.evaluation.runs.compared_settings import Difference, Kind

_LONGEST = 60  # characters of a value in the table; --json has all of it
_Value = Annotated[str, typer.Argument(help="A deployment, a suite or a run: a file, a folder, or a name.")]


def diff_settings(
    a: _Value,
    b: _Value,
    kind: Annotated[
        Literal["deployment", "suite", "run"] | None,
        typer.Option("--as", help="What both names mean, where there are a deployment and a suite of one name."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List the settings in which two deployments, suites or runs differ, defaults included.

    Examples:

      qttrag eval diff-settings served paper

      qttrag eval diff-settings mkqa paper --as suite
    """
    from qttrag.evaluation.runs import compared_settings

    of_a, of_b = (kind, kind) if kind else compared_settings.common_kind(a, b)
    differences = compared_settings.differences(compared_settings.read(a, of_a), compared_settings.read(b, of_b))
    if as_json:
        output.say_json(_as_json(a, of_a, b, of_b, differences))
        return
    title = f"{of_a} {a}, {of_b} {b}: {len(differences)} settings differ"
    output.console().print(output.printable(title), style="bold", markup=False)
    output.print_fitting(output.console(), ["setting", a, b], [_row(each) for each in differences])


def _as_json(a: str, of_a: Kind, b: str, of_b: Kind, differences: list[Difference]) -> dict[str, Any]:
    return {
        "a": {"kind": of_a, "name": a},
        "b": {"kind": of_b, "name": b},
        "differences": [{"setting": name, "a": one, "b": other} for name, one, other in differences],
    }


def _row(difference: Difference) -> list[str]:
    return [output.printable(difference.setting), *(output.printable(_text(value)) for value in difference[1:])]


def _text(value: Any) -> str:
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
