"""`qttrag index pretranslate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.cli.index.options import Name
from qttrag.cli.index.progress import show_progress
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from qttrag.application.pretranslation import Pretranslation
    from qttrag.types import Lang

Tag = Annotated[bool, typer.Option("--tag", help="Also score the translations.")]


def pretranslate(
    name: Name,
    to: Annotated[str, typer.Option("--to", help="The languages of future questions, such as ko,fi,zh.")],
    tag: Tag = False,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Translate all passages of an index in advance, and score them, into the cache of a deployment.

    Questions in these languages then cost neither. After an interruption, the same command resumes: what the cache has
    is not computed again.

    Example: qttrag index pretranslate wiki-en --to ko,fi,zh --tag --config paper
    """
    show_pretranslated(pretranslated(name, to, tag=tag, config=config, settings=settings), as_json=as_json)


def pretranslated(
    name: str, to: str, *, tag: bool, config: str, settings: list[str] | None = None
) -> list[Pretranslation]:
    """Translate the passages of an index into the languages `to`, separated by commas, with a bar."""
    from qttrag.application.application import Application
    from qttrag.application.pretranslation import pretranslate
    from qttrag.indexes.collection import open_index

    targets = target_languages(to)
    deployment = output.load_deployment(config, settings)
    collection = open_index(name, threads=1)

    async def run() -> list[Pretranslation]:
        with show_progress(collection.manifest.name, loading="translator") as progress:
            async with Application.open(deployment) as application:
                return await pretranslate(application, collection, targets, tag=tag, progress=progress)

    return output.run(run())


def target_languages(to: str) -> list[Lang]:
    """Return the languages of a list such as "ko,fi", each once.

    Raises:
        InputError: one is unknown, or there is none."""
    from qttrag.text.languages import language

    return list(dict.fromkeys(language(code.strip()).code for code in to.split(",")))


def show_pretranslated(done: list[Pretranslation], *, as_json: bool) -> None:
    if as_json:
        output.say_json([as_dict(one) for one in done])
        return
    rows = [[one.target, *(f"{n:,}" for n in _numbers(one).values())] for one in done]
    output.console().print(output.table("language", *(_numbers(done[0])), rows=rows))
    for note in dict.fromkeys(note for one in done for note in one.notes):
        output.console(stderr=True).print(f"note: {output.printable(note)}", markup=False)


def as_dict(done: Pretranslation) -> dict[str, object]:
    return {"lang": done.target, **_numbers(done), "counts": dict(done.counts), "notes": done.notes}


def _numbers(done: Pretranslation) -> dict[str, int]:
    counts = done.counts
    return {
        "translated": counts["translate.computed"],
        "cached": counts["translate.cached"],
        "unsupported": counts["translate.unsupported_language"],
        "scored": counts["tag.scored"],
        "unscored": sum(n for name, n in counts.items() if name.startswith("tag.unscored.")),
    }
