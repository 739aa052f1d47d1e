"""Groups of commands whose help is plain text: typer's rich help takes 0.2 s and more to import.

A group can also import its commands when they are called: importing all of `qttrag` takes as long as typer twice."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

_WIDTH = 110  # columns of help, where the terminal has them
_WHOLE = 1000  # characters; of a command's help, the first sentence is listed


class Entry(NamedTuple):
    """A command, or a group of commands, that is imported when it is called; `--help` of its group shows `summary`."""

    place: str  # "module:function" or "module:app"
    panel: str
    summary: str  # the first sentence of the command's own help; a test compares them


class Group(TyperGroup):
    """A group of commands that `--help` lists under their panels, in the order of registration."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
        names = self.list_commands(ctx)
        width = max(map(len, names))
        for name in names:
            panel, summary = self.listed(name)
            panels[panel].append((name.ljust(width), summary))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def listed(self, name: str) -> tuple[str, str]:
        """Return the panel and the summary of a command."""
        command: Any = self.commands[name]
        return getattr(command, "rich_help_panel", None) or "Commands", command.get_short_help_str(_WHOLE)


class LazyGroup(Group):
    """A group that imports a command when it is called."""

    entries: ClassVar[Mapping[str, Entry]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Imported(self.entries)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.entries)

    def listed(self, name: str) -> tuple[str, str]:
        return self.entries[name].panel, self.entries[name].summary


class _Imported(Mapping[str, Any]):
    """Names of commands -> the commands, each imported when it is looked up."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> Any:
        module, attribute = self._entries[name].place.split(":")
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command: Any = get_group(found)
        else:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(name)(found)
            command = get_command(alone)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def group(help: str, cls: type[Group] = Group, **settings: Any) -> typer.Typer:
    """Return an application of typer with plain help; without arguments, it shows the help."""
    return typer.Typer(
        cls=cls,
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": _WIDTH},
        **settings,
    )
