"""Groups of commands whose help is plain text: typer's rich help takes 0.2 s and more to import."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import typer
from typer.core import TyperGroup

_WIDTH = 110  # columns of help, where the terminal has them
_WHOLE = 1000  # characters; of a command's help, the first sentence is listed


class Group(TyperGroup):
    """A group of commands that `--help` lists under their panels, in the order of registration."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[Any]] = defaultdict(list)
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            panels[getattr(command, "rich_help_panel", None) or "Commands"].append(command)
        width = max(len(command.name) for commands in panels.values() for command in commands)
        for panel, commands in panels.items():
            with formatter.section(panel):
                formatter.write_dl([(c.name.ljust(width), c.get_short_help_str(_WHOLE)) for c in commands])


def group(help: str, **settings: Any) -> typer.Typer:
    """Return an application of typer with plain help; without arguments, it shows the help."""
    return typer.Typer(
        cls=Group,
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"max_content_width": _WIDTH},
        **settings,
    )
