"""Output of the commands: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from qttrag.application.serialization import partial_as_dict
from qttrag.errors import DeadlineExceeded, InputError, QttragError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from qttrag.application.application import Application
    from qttrag.config.deployment import Deployment
    from qttrag.trace import Trace

T = TypeVar("T")
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Config = Annotated[
    str, typer.Option("--config", "-c", envvar="QTTRAG_CONFIG", help="A deployment file, or its name in server/.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting, e.g. --set generator.model=./my-model. Repeatable."),
]


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def printable(text: str) -> str:
    """Return text of a model or passage without control characters and bidirectional overrides."""
    return "".join(c for c in text if c == "\n" or not (unicodedata.category(c) in {"Cc", "Cs"} or c in _BIDIRECTIONAL))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def tell(text: str) -> None:
    """Write a line about the run, not its result, to standard error."""
    sys.stderr.write(printable(text) + "\n")


def say_notes(trace: Trace) -> None:
    for note in trace.notes:
        console(stderr=True).print(f"note: {printable(note)}", markup=False)


def say_json(value: object) -> None:
    say(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def fail(error: QttragError, *, as_json: bool) -> None:
    if as_json:
        body: dict[str, Any] = {"error": {"type": type(error).__name__, "message": str(error)}}
        if isinstance(error, DeadlineExceeded):
            body["partial"] = partial_as_dict(error.partial, details=True)
        say_json(body)
    else:
        sys.stderr.write(f"error: {printable(str(error))}\n")


def table(*columns: str, rows: list[list[str]]) -> Table:
    """Return a table of plain text: markup and control characters in cells have no effect."""
    from rich.table import Table
    from rich.text import Text

    result = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*(Text(printable(cell)) for cell in row))
    return result


def print_fitting(console: Console, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table, or, where it is wider than the terminal, each row as lines of column and value."""
    from rich.cells import cell_len

    widths = [max(cell_len(printable(cell)) for cell in column) for column in zip(columns, *rows, strict=True)]
    if sum(widths) + 2 * len(widths) <= console.width or not rows:
        console.print(table(*columns, rows=rows))
        return
    for row in rows:
        lines = [[name, cell] for name, cell in zip(columns[1:], row[1:], strict=True)]
        console.print(table(columns[0], row[0], rows=lines))


def pairs(values: list[str] | None, option: str) -> dict[str, Any]:
    """Return {"a": {"b": value}} for ["a.b=value"]; values are YAML, so 5 is a number and true a boolean.

    Raises:
        InputError: an argument has no "=".
        ConfigError: a value is not YAML, or a name is below another that has a value."""
    from qttrag.config.yaml_files import set_nested

    nested: dict[str, Any] = {}
    for value in values or []:
        name, sign, text = value.partition("=")
        if not sign or not name:
            raise InputError(f"{option} '{value}': write it as name=value")
        set_nested(nested, name.split("."), text, where=f"{option} '{value}'")
    return nested


def utf8(text: str) -> str:
    """Return an argument with "?" for every byte that is not UTF-8, as in questions."""
    return text.encode("utf-8", "replace").decode("utf-8")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(coroutine)


def load_deployment(config: str, settings: list[str] | None, **flags: Any) -> Deployment:
    """Return a deployment with the settings and flags of the command line; flags that are None are not given."""
    from qttrag.config import deployment

    chosen = {name: value for name, value in flags.items() if value is not None}
    return deployment.load(config, {**pairs(settings, "--set"), **chosen})


def open_application(config: str, settings: list[str] | None, **flags: Any) -> Application:
    """Open a deployment with the settings and flags of the command line."""
    from qttrag.application.application import Application

    return Application.open(load_deployment(config, settings, **flags))
