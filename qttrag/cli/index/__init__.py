"""`qttrag index ...`: the commands that build, change, check and search collections."""

from __future__ import annotations

from qttrag.cli.groups import group
from qttrag.cli.index.bergen import import_bergen
from qttrag.cli.index.build import build
from qttrag.cli.index.changes import append, compact, remove
from qttrag.cli.index.export import export
from qttrag.cli.index.inspect import info, search, verify
from qttrag.cli.index.language_bias import measure_means, measure_shifts
from qttrag.cli.index.pretranslate import pretranslate
from qttrag.cli.index.tune import tune

app = group("Build, change, check and search collections.")
for command in (
    build,
    info,
    verify,
    search,
    append,
    remove,
    compact,
    tune,
    export,
    import_bergen,
    measure_shifts,
    measure_means,
    pretranslate,
):
    app.command()(command)
