"""`qttrag index measure-shifts|measure-means`: what of a vector is its language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import InProcess, Name
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


def measure_means(name: Name, as_json: output.Json = False) -> None:
    """Measure the mean vector of each language of an index, from its own passages, and store the means with it.

    Vectors of one language lie around a mean of their own, which tells the language and not the text. A deployment with
    `retriever: {transform: centre}` subtracts it (SHIFT, arXiv:2606.18801). Nothing is encoded: the stored vectors are
    read once.

    Example: qttrag index measure-means wiki-en
    """
    import numpy as np

    from qttrag.indexes.jobs import measure_means as job

    with output.console(stderr=True).status(f"reading the vectors of {name}"):
        _, means = job.measure_means(name)
    norms = np.linalg.norm(means.vectors, axis=1).tolist()
    measured = zip(means.langs, means.counts, norms, strict=True)
    if as_json:
        output.say_json([{"lang": lang, "passages": n, "norm": round(norm, 4)} for lang, n, norm in measured])
        return
    rows = [[lang, f"{n:,}", f"{norm:.4f}"] for lang, n, norm in measured]
    output.console().print(output.table("language", "passages", "length of the mean", rows=rows))
    output.say(f"{name}: saved with the index")
