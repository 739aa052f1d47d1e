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
    file: Annotated[Path, typer.Argument(help='A JSONL file of {"text" or "question", "lang"}, other fields ignored.')],
    kind: Annotated[str, typer.Option(help="The kind of the detector; see `qttrag kinds detector`.")] = "script",
    as_json: output.Json = False,
) -> None:
    """Measure a language detector on labelled texts: accuracy, agreement between two calls, speed.

    Example: qttrag eval detector xor_dev_full_v1_1.jsonl --kind langdetect
    """
    from qttrag.application import registry
    from qttrag.evaluation.datasets.files import language_of, local_path, records, text_of
    from qttrag.evaluation.stages import identification

    labelled = [
        identification.LabelledText(
            text_of(where, record, "text" if "text" in record else "question"),
            language_of(where, text_of(where, record, "lang")),
        )
        for where, record in records(local_path(str(file)))
    ]
    if not labelled:
        raise InputError(f"{file}: has no texts")
    found = output.run(identification.identification(registry.resolve("detector", kind)(), labelled, kind))
    if as_json:
        output.say_json(identification.as_document(found).model_dump(mode="json"))
    else:
        print_table(identification.table(found))
