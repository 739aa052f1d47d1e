"""`qttrag index tune|import-bergen|measure-shifts`: what makes indexes that are there search well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qttrag.cli import output
from qttrag.errors import CollectionError, InputError

if TYPE_CHECKING:
    from qttrag.indexes.collection import Collection
    from qttrag.indexes.jobs.tune import Sample, Trial
    from qttrag.indexes.storage.manifest import Tuned

Name = Annotated[str, typer.Argument(help="A built index, or the path of its folder.")]


def tune(
    name: Name,
    recall: Annotated[float, typer.Option(min=0.01, max=1.0, help="The share of the exact hits to be found.")] = 0.98,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="Hits of a question to measure by.")] = 50,
    queries: Annotated[Path | None, typer.Option(help="Questions, one a line; else its own passages, turned.")] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many of its own passages.")] = 500,
    as_json: output.Json = False,
) -> None:
    """Choose how an index is searched: the fastest way that finds what an exact search finds, measured and kept.

    Its vectors are read once for the exact search of all queries; then lists or graph nodes to look at, and candidates
    to score with the stored vectors, are tried. A way will do if its recall less the standard error is what was asked
    for. What is chosen is written into its manifest with the recall it had.

    Examples:

      qttrag index tune wiki-en --recall 0.98

      qttrag index tune wiki-ko -k 20 --queries questions.txt
    """
    from qttrag.indexes import collection as search
    from qttrag.indexes.jobs import tune as tuning

    folder, _ = search.find(name)
    collection = search.open_index(name, threads=1)
    sample = tuning.questions(collection.manifest, queries) if queries else tuning.own_passages(collection, n)
    tuned, trials = _tuned(collection, sample, recall, k)
    tuning.keep(folder, collection.manifest, tuned)
    if as_json:
        output.say_json({"tuned": tuned.model_dump(mode="json"), "tried": [_trial_facts(trial) for trial in trials]})
        return
    rows = [_row(trial, tuned) for trial in trials]
    output.console().print(output.table("", "lists", "nodes", "candidates", "recall", "ms a query", rows=rows))
    output.say(f"recall@{k} over {tuned.queries} queries: {tuned.sample}; each searched alone, on one thread")
    had = recall_words(tuned.recall, tuned.error)
    if not any(trial.reaches(recall) for trial in trials):
        output.say(
            f"{name}: a recall of {recall:g} cannot be reached with '{collection.factory}'; the best, {had}, is kept. "
            "Build it with more bits a dimension (RaBitQ4, SQ8) or Flat"
        )
    else:
        output.say(f"{name}: kept in its manifest, with a recall of {had}")


def recall_words(recall: float, error: float | None) -> str:
    """Return a recall with its standard error, if that is known."""
    return f"{recall:.4f}" if error is None else f"{recall:.4f} ± {error:.4f}"


def _tuned(collection: Collection, sample: Sample, recall: float, k: int) -> tuple[Tuned, list[Trial]]:
    from rich.progress import Progress

    from qttrag.indexes.jobs import tune as tuning

    total = len(collection.passages)
    with Progress(console=output.console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"exact search of {total:,} passages", total=total)

        def tried(trial: Trial) -> None:
            bars.update(task, description=f"trying: recall {trial.recall:.4f} in {trial.ms:.1f} ms", total=None)

        return tuning.tune(
            collection, sample, wanted=recall, k=k, scanned=lambda rows: bars.update(task, completed=rows), tried=tried
        )


def _row(trial: Trial, tuned: Tuned) -> list[str]:
    effort, depth = trial.plan
    chosen = (effort.nprobe, effort.ef_search, depth) == (tuned.nprobe, tuned.ef_search, tuned.depth)
    lists, nodes = (("–" if value is None else f"{value:,}") for value in effort)
    return [
        "→" if chosen else "",
        lists,
        nodes,
        f"{depth:,}",
        recall_words(trial.recall, trial.error),
        f"{trial.ms:.2f}",
    ]


def _trial_facts(trial: Trial) -> dict[str, Any]:
    measured = {"recall": trial.recall, "error": trial.error, "ms": trial.ms}
    return {**trial.plan.effort._asdict(), "depth": trial.plan.depth, **measured}


def import_bergen(
    folder: Annotated[Path, typer.Argument(help="The folder with embedding_chunk_*.pt.")],
    passages: Annotated[Path, typer.Option(help="The data set: a folder as `datasets` saves it, or files.")],
    lang: Annotated[str, typer.Option(help="The language of the passages.")],
    name: Annotated[str | None, typer.Option(help="What to call the index; else by the folder.")] = None,
    id_prefix: Annotated[str, typer.Option(help="Put before every id.")] = "",
    model: Annotated[str, typer.Option(help="The encoder that made the vectors.")] = "BAAI/bge-m3",
    revision: Annotated[str | None, typer.Option(help="Its revision.")] = None,
    max_tokens: Annotated[int, typer.Option(min=8, help="What it reads of a question.")] = 256,
    device: Annotated[str, typer.Option(help="Where it runs.")] = "auto",
    faiss: Annotated[str, typer.Option(help="A FAISS factory string, or auto.")] = "auto",
    id_field: Annotated[str, typer.Option(help="Of the data set.")] = "id",
    text_field: Annotated[str, typer.Option(help="Of the data set.")] = "content",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index that is there.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what a broken-off import has done.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take over an index that BERGEN published, so that nobody has to encode its passages again.

    Vectors and passages must be of each other, row for row; some are encoded again to see that they are. Files of
    vectors are read as data alone: nothing in them is run. In Chinese, Japanese and Thai the spaces that BERGEN puts
    between all characters are taken out. Ids stay as they are; runs over several of its data sets merged have the data
    set's name before each, which --id-prefix gives. Broken off, the same command goes on.

    Examples:

      qttrag index import-bergen indexes/wiki-100w-ko_doc_BAAI_bge-m3 --passages datasets/wiki-100w-ko_train --lang ko

      qttrag index import-bergen ./kilt --passages ./kilt-100w_full --lang en --name wiki-en --id-prefix kilt-100w_
    """
    from qttrag.cli.index import build as index
    from qttrag.indexes.jobs import import_bergen as bergen
    from qttrag.indexes.recipe import EncoderSettings, Fields

    made = bergen.recipe(
        name or _called(folder),
        passages,
        lang=lang,
        encoder=EncoderSettings(model=model, revision=revision, max_tokens=max_tokens, device=device),
        fields=Fields(id=id_field, text=text_field),
        faiss=faiss,
    )
    with index.shown_progress(made.name) as progress:
        manifest = bergen.take_over(
            folder, made, id_prefix=id_prefix, overwrite=overwrite, restart=restart, progress=progress
        )
    index.show(manifest, as_json=as_json)
    if not as_json:
        output.say("How many passages were longer than the encoder read is not known of vectors made elsewhere.")


def _called(folder: Path) -> str:
    """Return "wiki-100w-ko" for the folder wiki-100w-ko_doc_BAAI_bge-m3, as a name an index may have."""
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.partition("_doc_")[0].lower()).lstrip("_-")
    if not name:
        raise InputError(f"{folder}: no index can be called so; name it with --name")
    return name


def measure_shifts(
    questions: Annotated[Path, typer.Argument(help='JSON lines, the same question in several languages: {"en": ...}.')],
    names: Annotated[list[str], typer.Argument(help="Built indexes, or the paths of their folders.")],
    as_json: output.Json = False,
) -> None:
    """Measure how much lower passages score when the question is in another language, as `shifts:` of a deployment.

    The same questions in two languages want the same passages; the best ten that each finds in passages of one language
    are compared. The mean difference is the encoder's preference for the language of the question, and nothing else.

    Example: qttrag index measure-shifts mkqa.jsonl wiki-en wiki-ko
    """
    import yaml

    from qttrag.indexes.jobs import workers
    from qttrag.indexes.recipe import Recipe
    from qttrag.retrievers import language_bias
    from qttrag.stores.faiss_folder import FaissFolder

    asked = language_bias.read_parallel_questions(questions)
    stores = [FaissFolder(name) for name in names]
    manifests = [store.collection.manifest for store in stores]
    if len({(m.encoder_revision, m.recipe["encoder"]["query_prefix"]) for m in manifests}) > 1:
        raise CollectionError(f"indexes {names} are of different encoders; measure each encoder's apart")
    settings = Recipe(**manifests[0].recipe).encoder
    encoder = workers.of_questions(settings, of=f"the encoder of index '{names[0]}'")
    found = language_bias.measure(stores, encoder, asked, prefix=settings.query_prefix)
    if as_json:
        output.say_json([shift._asdict() for shift in found])
        return
    rows = [[s.question, s.passages, f"{s.mean:+.4f}", f"{s.error:.4f}", f"{s.n:,}"] for s in found]
    output.console().print(output.table("question", "passages", "shift", "standard error", "questions", rows=rows))
    by_question: dict[str, dict[str, float]] = {}
    for shift in found:
        by_question.setdefault(shift.question, {})[shift.passages] = round(shift.mean, 4)
    output.say("\n" + yaml.safe_dump({"retriever": {"shifts": by_question}}, sort_keys=False).rstrip())
