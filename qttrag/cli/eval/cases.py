"""`qttrag eval cases`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.errors import InputError

if TYPE_CHECKING:
    from qttrag.evaluation.report.cases import Cases


def cases(
    run: options.RunFolder,
    kind: Annotated[
        Literal["rescued", "harmed", "low-score-right", "high-score-wrong"],
        typer.Option("--kind", "-k", help="Which questions: see below."),
    ],
    of: Annotated[str | None, typer.Option(help="The strategy; by default the headline's.")] = None,
    over: Annotated[str | None, typer.Option(help="The other one; by default the headline's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most cases to show, the clearest first.")] = 10,
    as_html: Annotated[bool, typer.Option("--html", help="Print a page of HTML.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show questions side by side with what two strategies read and answered.

    rescued: the strategy is right, the other is not; harmed: the contrary. low-score-right: it is right although each
    translation has a mean score below 3.5; high-score-wrong: it is wrong although each has 4.5 or more. An answer with
    half of the headline's measure counts as right.

    Example: qttrag eval cases xor-tydi --kind rescued --over base --html > rescued.html
    """
    from qttrag.evaluation.report import cases as report
    from qttrag.evaluation.runs import scoring

    if as_html + as_markdown + as_json > 1:
        raise InputError("--html, --markdown and --json exclude one another; give one")
    opened = options.open_run(run)
    scored = scoring.score(opened)
    options.check_strategies(scored, of, over)
    found = report.cases(opened, scored, kind, of=of, over=over, limit=limit)
    if as_json:
        output.say_json(report.as_json(found))
    elif as_html or as_markdown:
        output.say(report.html(found) if as_html else report.markdown(found))
    else:
        _print(found)


def _print(found: Cases) -> None:
    from qttrag.evaluation.report import cases as report

    console = output.console()
    console.print(output.printable(f"{found.title}: {found.n} of {found.total} questions"), style="bold", markup=False)
    for case in found.cases:
        console.print(output.printable(f"\n{case.question}"), style="bold", markup=False)
        place = f"{case.dataset} · {case.generator} · {case.question_id}; references: {' | '.join(case.references)}"
        console.print(output.printable(place), markup=False)
        head, *rows = report.rows(case)
        console.print(output.table(*head, rows=[[output.printable(each) for each in row] for row in rows]))
