"""`qttrag cache info|clear`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.groups import group
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.runtime.result_cache import ResultCache

app = group("Show or clear the cache of translations and completions (scores are completions).")


@app.command()
def info(config: output.Config = DEFAULT_DEPLOYMENT, settings: output.Set = None, as_json: output.Json = False) -> None:
    """Show where the cache is, its content and its limit."""
    with closing(_open_cache(config, settings)) as cache:
        kinds = cache.info()
        if as_json:
            content = {kind: {"entries": i.entries, "bytes": i.bytes} for kind, i in kinds.items()}
            output.say_json({"location": cache.location, "limit": cache.limit, "kinds": content})
            return
        output.say(f"{cache.location} ({cache.limit})")
        rows = [[kind, f"{i.entries:,}", f"{i.bytes / 1e6:,.1f} MB"] for kind, i in kinds.items()]
        output.console().print(output.table("kind", "entries", "content", rows=rows))


@app.command()
def clear(
    kind: Annotated[str | None, typer.Argument(help="Only this kind: translation or completion.")] = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Delete the cached entries.

    Example: qttrag cache clear completion
    """
    from qttrag.errors import InputError, unknown
    from qttrag.runtime.cache import KINDS

    if kind is not None and kind not in KINDS:
        raise InputError(unknown("cache kind", kind, KINDS))
    with closing(_open_cache(config, settings)) as cache:
        removed = cache.clear(kind)
        if as_json:
            output.say_json({"location": cache.location, "removed": removed})
        else:
            output.say(f"removed {removed:,} entries from {cache.location}")


def _open_cache(config: str, settings: list[str] | None) -> ResultCache:
    from qttrag.config import deployment
    from qttrag.runtime.open_cache import open_cache

    return open_cache(deployment.load(config, output.pairs(settings, "--set")).cache)
