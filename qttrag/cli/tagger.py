"""`qttrag tagger train`: fit the scores of the `embedding` tagger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.eval.score import print_table
from qttrag.errors import ConfigError, InputError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qttrag.evaluation.stages.head_training import Rows, Trained

app = typer.Typer(no_args_is_help=True, help="Train a tagger.")


@app.callback()
def _group() -> None:
    """Train a tagger."""


@app.command()
def train(
    files: Annotated[list[str], typer.Argument(help="TSV files (also .gz) by languages: en-ko=FILE.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, for `head:` of the tagger.")],
    columns: Annotated[str, typer.Option(help="The columns of original, translation and score.")] = "src,mt,da_mean",
    damage: Annotated[
        bool, typer.Option("--damage", help="The files have good translations and no scores: plant damage in them.")
    ] = False,
    held_out: Annotated[
        list[str] | None, typer.Option(help="Files to measure on, as above; default: a tenth of the rows.")
    ] = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Train a head for the tagger kind `embedding` on scored translations, or on translations with planted damage.

    The head weighs the dimensions of the encoder's vectors. Held-out rows show the correlation with the scores of raw
    cosines, of cosines centred by language and of the head. --held-out always has scores, in the third of --columns.

    Example: qttrag tagger train en-zh=train.tsv ru-en=train2.tsv -o head.safetensors -c mine
    """
    from qttrag.evaluation.stages import head_training
    from qttrag.evaluation.stages.planted_damage import damaged

    names = columns.split(",")
    if len(names) != 3 and not (damage and not held_out and len(names) == 2):
        raise InputError(f"--columns '{columns}': name three columns, original,translation,score")
    every = [_read(file, names, scored=not damage) for file in files]
    if damage:
        every = [rows._replace(judged=damaged(rows.judged)) for rows in every]
    if held_out:
        training, test = every, [_read(file, names, scored=True) for file in held_out]
    else:
        parts = [head_training.split(rows) for rows in every]
        training, test = [part[0] for part in parts], [part[1] for part in parts]
    trained = output.run(_trained(config, settings, training, test))
    trained.head.write(out)
    if as_json:
        output.say_json(head_training.as_document(trained.compared).model_dump(mode="json"))
        return
    print_table(head_training.table(trained.compared))
    output.say(f"{out}: trained on {trained.head.trained_on}")


def _read(argument: str, columns: Sequence[str], *, scored: bool) -> Rows:
    from qttrag.evaluation.stages import tagging
    from qttrag.evaluation.stages.head_training import Rows
    from qttrag.evaluation.stages.tagging import JudgedTranslation
    from qttrag.evaluation.stages.text_files import tsv_rows

    pair, sign, name = argument.partition("=")
    if not sign or not pair or not name:
        raise InputError(f"'{argument}': write it as LANGUAGES=FILE, e.g. en-ko=scored.tsv")
    if scored:
        return Rows(pair, tagging.read(Path(name), *columns))
    with tsv_rows(Path(name), columns[:2]) as rows:
        judged = [JudgedTranslation(row[columns[0]], row[columns[1]], 0.0) for row in rows]
    return Rows(pair, [each for each in judged if each.original and each.translation])


async def _trained(
    config: str, settings: list[str] | None, training: Sequence[Rows], held_out: Sequence[Rows]
) -> Trained:
    from qttrag.evaluation.stages import head_training
    from qttrag.taggers.embedding import EmbeddingTagger

    async with output.open_application(config, settings) as application:
        tagger = application.stages.tagger
        if not isinstance(tagger, EmbeddingTagger):
            raise ConfigError("the deployment's tagger has no head; set `tagger: {kind: embedding}`")
        return await head_training.train(tagger, training, held_out)
