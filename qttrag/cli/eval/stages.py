"""`qttrag eval tagger|detector`: measure one stage alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval import options
from qttrag.cli.eval.score import print_table
from qttrag.errors import ConfigError, InputError
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.trace import Trace

if TYPE_CHECKING:
    from qttrag.evaluation.stages.tagging import JudgedTranslation
    from qttrag.types import Verdict


def tagger(
    file: Annotated[Path, typer.Argument(help="A TSV file (also .gz) of translations with human scores.")],
    source: Annotated[str, typer.Option("--from", "-f", help="The language of the originals.")],
    target: Annotated[str, typer.Option("--to", "-t", help="The language of the translations.")],
    columns: Annotated[str, typer.Option(help="The columns of original, translation and score.")] = "src,mt,da_mean",
    sample: options.Sample = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Measure the correlation of a tagger's scores with human scores: Pearson, Spearman, Kendall.

    Exit code 4 if no translation is scored.

    Example: qttrag eval tagger en-zh.tsv.gz --from en --to zh --sample 500 -c served
    """
    from qttrag.evaluation.stages import tagging

    names = columns.split(",")
    if len(names) != 3:
        raise InputError(f"--columns '{columns}': name three columns, original,translation,score")
    judged = tagging.sample(tagging.read(file, *names), sample)
    trace = Trace()
    verdicts = output.run(_tagged(config, settings, trace, judged, source, target))
    unscored = sum(verdict.scores is None for verdict in verdicts)
    notes = [f"{unscored} of {len(verdicts)} translations are unscored"] * bool(unscored) + [*map(str, trace.notes)]
    cells = tagging.correlations(judged, verdicts, f"lang:{source}-{target}")
    if as_json:
        output.say_json(tagging.as_document(cells, notes).model_dump(mode="json"))
    else:
        for note in notes:
            output.say(output.printable(f"note: {note}"))
        print_table(tagging.table(cells))
        print_table(tagging.reliability(judged, verdicts))
    if unscored == len(verdicts):
        raise typer.Exit(4)


async def _tagged(
    config: str, settings: list[str] | None, trace: Trace, judged: Sequence[JudgedTranslation], source: str, target: str
) -> list[Verdict]:
    from qttrag.evaluation.stages import tagging
    from qttrag.text.languages import language

    async with output.open_application(config, settings) as application:
        stage = application.stages.tagger
        if stage is None:
            raise ConfigError("the deployment has no tagger; add `tagger: {kind: llm}`")
        with trace.stage("tag"):
            return await tagging.verdicts_of(stage, judged, language(source).code, language(target).code)


def detector(
    file: Annotated[
        Path,
        typer.Argument(
            help='A JSONL file of {"text" or "question", "lang"}, or a folder as of FLORES-200: kor_Hang.dev, ...'
        ),
    ],
    kind: Annotated[str, typer.Option(help="The kind of the detector; see `qttrag kinds detector`.")] = "script",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the detector, e.g. --set model=lid.bin. Repeatable.")
    ] = None,
    words: Annotated[
        int | None, typer.Option(min=1, help="Read only the first words of each text, to see short ones.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Measure a language detector on labelled texts: accuracy, agreement between two calls, speed.

    Scripts of a language count as the same language.

    Examples:

      qttrag eval detector xor_dev_full_v1_1.jsonl --kind langdetect

      qttrag eval detector flores200/dev --words 3 --kind fasttext --set model=lid218.bin
    """
    from qttrag.application.factory import build_alone
    from qttrag.evaluation.stages import identification

    labelled = identification.read(file)
    if words is not None:
        labelled = [identification.shortened(each, words) for each in labelled]
    stage = build_alone("detector", {"kind": kind, **output.pairs(settings, "--set")})
    name = ",".join([kind, *(settings or []), *([f"words={words}"] if words else [])])
    found = output.run(identification.identification(stage, labelled, name))
    if as_json:
        output.say_json(identification.as_document(found).model_dump(mode="json"))
    else:
        print_table(identification.table(found))
