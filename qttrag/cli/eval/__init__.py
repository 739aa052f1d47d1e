"""`qttrag eval`: run a suite, score its answers, and measure single stages."""

from __future__ import annotations

from qttrag.cli.eval import (
    cases,
    compare,
    diff_settings,
    export,
    flags,
    judge,
    retrieval,
    run,
    schema,
    score,
    show,
    stages,
    support,
)
from qttrag.cli.groups import group

app = group("Answer the questions of a suite, and score the answers.")
for command in (
    run.run, score.score, compare.compare, diff_settings.diff_settings, show.show, cases.cases, retrieval.retrieval,
    stages.tagger, stages.detector, export.export, judge.judge, support.support,
    support.support_judge, flags.flags, schema.schema,
):  # fmt: skip
    app.command()(command)
