"""`qttrag index measure-shifts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import InProcess
from qttrag.errors import CollectionError


def measure_shifts(
    questions: Annotated[Path, typer.Argument(help='JSON lines, the same question in several languages: {"en": ...}.')],
    names: Annotated[list[str], typer.Argument(help="Built indexes, or the paths of their folders.")],
    in_process: InProcess = False,
    as_json: output.Json = False,
) -> None:
    """Measure how much lower passages score if the question is in another language, for `shifts:` of a deployment.

    The same question in two languages has the same relevant passages, so the ten best passages of one language are
    compared for both. The mean difference is the encoder's preference for the language of the question, and nothing
    else.

    Example: qttrag index measure-shifts mkqa.jsonl wiki-en wiki-ko
    """
    import yaml

    from qttrag.application.factory import open_encoder
    from qttrag.indexes.jobs.workers import load_question_encoder, question_settings
    from qttrag.indexes.recipe import Recipe
    from qttrag.retrievers import language_bias
    from qttrag.stores.faiss_folder import FaissFolder

    parallel = language_bias.read_parallel_questions(questions)
    stores = [FaissFolder(name) for name in names]
    manifests = [store.collection.manifest for store in stores]
    if len({(m.encoder_revision, m.recipe["encoder"]["query_prefix"]) for m in manifests}) > 1:
        raise CollectionError(f"indexes {names} have different encoders; measure those of each encoder separately")
    settings = question_settings(Recipe(**manifests[0].recipe).encoder, in_process=in_process)
    owner = f"the encoder of index '{names[0]}'"
    encoder = load_question_encoder(settings, owner=owner, open_encoder=open_encoder)
    shifts = language_bias.measure(stores, encoder, parallel, prefix=settings.query_prefix)
    if as_json:
        output.say_json([shift._asdict() for shift in shifts])
        return
    rows = [[s.question, s.passages, f"{s.mean:+.4f}", f"{s.error:.4f}", f"{s.n:,}"] for s in shifts]
    output.console().print(output.table("question", "passages", "shift", "standard error", "questions", rows=rows))
    by_question: dict[str, dict[str, float]] = {}
    for shift in shifts:
        by_question.setdefault(shift.question, {})[shift.passages] = round(shift.mean, 4)
    output.say("\n" + yaml.safe_dump({"retriever": {"shifts": by_question}}, sort_keys=False).rstrip())
