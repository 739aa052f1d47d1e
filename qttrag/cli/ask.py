"""`qttrag ask`: answer one question, streamed, with its passages and times."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.application.serialization import answer_as_dict
from qttrag.cli import output
from qttrag.errors import DeadlineExceeded, InputError
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.types import CRITERIA, AnswerStyle, AskLimits, AskRequest, ignore

if TYPE_CHECKING:
    from rich.status import Status
    from rich.table import Table

    from qttrag.config.deployment import Deployment
    from qttrag.trace import Trace
    from qttrag.types import Answer, Event, PartialAnswer, Passage, Place, TaggedPassage

_NEXT_STAGE = {"ranked": "reading", "translated": "scoring", "tagged": "answering", "refined": "answering"}
_MAX_CHARACTERS = 140  # of a passage in the table


def ask(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    config: output.Config = DEFAULT_DEPLOYMENT,
    strategy: Annotated[str | None, typer.Option("--strategy", "-s", help="See `qttrag strategies`.")] = None,
    lang: Annotated[
        str | None, typer.Option("--lang", "-l", help="Language of the answer; default: that of the question.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="An option of the strategy, e.g. -o tags=false. Repeatable."),
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option("--collection", help="Search only this collection. Repeatable.")
    ] = None,
    style: Annotated[
        AnswerStyle | None, typer.Option(help="The form of the answer; default: the deployment's, mostly short.")
    ] = None,
    depth: Annotated[int | None, typer.Option(help="Passages to retrieve and rerank.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Passages to read.")] = None,
    server: Annotated[
        str,
        typer.Option(
            help="auto: your running `qttrag serve` of the same settings, else this process; off: this process; a URL."
        ),
    ] = "auto",
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Answer one question and show the passages, times and counts of the answer.

    Examples:

      qttrag ask "핀란드에서 백야는 언제 끝나나요?"

      qttrag ask "Milloin Hangul julkaistiin?" --strategy hard_filter -o drop=any

      qttrag ask "서울의 인구는?" --collection wiki-ko --collection wiki-en

      qttrag ask "대운하는 어떻게 만들어졌나요?" --style sentences

      qttrag ask "大运河有多长？" --config server/served.yaml --json

      qttrag ask "Mikä on sauna?" --server http://127.0.0.1:8080
    """
    options = output.pairs(option, "--option")
    request = AskRequest(
        output.utf8(question), lang=lang, strategy=strategy, options=options, collections=collection, answer_style=style
    )
    try:
        if server not in ("auto", "off"):
            if settings:
                raise InputError("--set does not change the settings of the server of --server; leave one of them out")
            answer = _ask_url(server, replace(request, limits=AskLimits(depth, top_k)), quiet=as_json)
        else:
            deployment = output.load_deployment(config, settings, depth=depth, top_k=top_k)
            local = _ask_local(deployment, request, quiet=as_json) if server == "auto" else None
            answer = local or _ask_here(deployment, request, quiet=as_json)
    except DeadlineExceeded as error:
        if not as_json:
            _show_partial(error.partial)
        raise
    if as_json:
        output.say_json(answer_as_dict(answer, details=True))
    else:
        _show(answer)


def _ask_url(url: str, request: AskRequest, *, quiet: bool) -> Answer:
    from qttrag.cli import served_ask

    connection, path = served_ask.over_url(url)
    return _shown(lambda on_event: served_ask.ask(connection, request, on_event, path=path), quiet=quiet)


def _ask_local(deployment: Deployment, request: AskRequest, *, quiet: bool) -> Answer | None:
    """Return the answer of a running server of this user and deployment; None if there is none, or if it is busy."""
    from qttrag.cli import local_socket, served_ask

    connected = local_socket.connect(deployment)
    if connected is None:
        return None
    output.tell("answered by the running `qttrag serve` (--server off: by this process)")
    connection = served_ask.over_socket(connected)
    try:
        return _shown(lambda on_event: served_ask.ask(connection, request, on_event), quiet=quiet)
    except served_ask.ServerBusy as busy:
        output.tell(f"{busy}; answered by this process")
        return None


def _ask_here(deployment: Deployment, request: AskRequest, *, quiet: bool) -> Answer:
    from qttrag.application.application import Application

    async def asked(on_event: Callable[[Event], None]) -> Answer:
        async with Application.open(deployment) as application:
            return await application.ask(request, on_event=on_event)

    return _shown(lambda on_event: output.run(asked(on_event)), quiet=quiet)


def _shown(answered: Callable[[Callable[[Event], None]], Answer], *, quiet: bool) -> Answer:
    """Return the answer; unless `quiet`, show the progress and the text as it is written."""
    if quiet:
        return answered(ignore)
    with output.console(stderr=True).status("retrieving") as status:
        answer = answered(_Progress(status))
    output.say("")
    return answer


class _Progress:
    """Shows the current stage until the answer begins, then streams the answer."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def __call__(self, event: Event) -> None:
        if event.kind in _NEXT_STAGE:
            self._status.update(_NEXT_STAGE[event.kind])
            return
        self._status.stop()
        if event.kind == "restarted":
            output.say(f"\n[{output.printable(event.text)}]")
            return
        sys.stdout.write(output.printable(event.text))
        sys.stdout.flush()


def _show(answer: Answer) -> None:
    console = output.console()
    console.print()
    console.print(passage_table(answer.context))
    if text := evidence(answer):
        console.print(text, markup=False)
    _show_trace(answer.trace)


def _show_partial(partial: PartialAnswer) -> None:
    """Show the passages and the trace; the text so far has been printed already."""
    console = output.console()
    console.print()
    if partial.passages:
        console.print(passage_table(partial.passages))
    _show_trace(partial.trace)


def _show_trace(trace: Trace) -> None:
    console = output.console()
    for note in trace.notes:
        console.print(f"note: {output.printable(note)}", markup=False)
    stages = " · ".join(f"{name} {value:.2f}" for name, value in trace.seconds.items())
    console.print(f"{sum(trace.seconds.values()):.2f} s: {stages}", markup=False)
    counts = " · ".join(f"{name} {n}" for name, n in sorted(trace.counts.items()))
    console.print(counts, markup=False, style="dim")


def passage_table(context: Sequence[TaggedPassage]) -> Table:
    """Return a table with one row per passage."""
    rows = [_row(n, passage) for n, passage in enumerate(context, 1)]
    return output.table("#", "lang", "rank", "sem", "gram", "flu", "title", "passage", rows=rows)


def evidence(answer: Answer) -> str:
    """Return the passages that support an answer, with their places in documents; "" if there are none."""
    if answer.abstained:
        return "the passages do not contain the answer"
    if not answer.citations.how:
        return ""
    numbers = ", ".join(_cited(answer, number) for number in answer.citations.passages)
    return f"cited: {numbers}" if answer.citations.how == "marked" else f"words of the answer are in: {numbers}"


def _cited(answer: Answer, number: int) -> str:
    """Return "2 (report.pdf, page 3)", or the number alone for a passage of no document."""
    place = answer.context[number - 1].passage.place
    return str(number) if place is None else f"{number} ({_place(place)})"


def _place(place: Place) -> str:
    return place.file if place.page is None else f"{place.file}, page {place.page}"


def _row(n: int, tagged: TaggedPassage) -> list[str]:
    lang = tagged.passage.lang if tagged.translation is None else f"{tagged.passage.lang}→"
    cells = [str(n), lang, f"{tagged.score:.3f}", *_scores(tagged), _title(tagged.passage)]
    return [*cells, "\n".join(_versions(tagged))]


def _title(passage: Passage) -> str:
    return passage.title if passage.place is None else f"{passage.title}\n{_place(passage.place)}"


def _versions(tagged: TaggedPassage) -> Iterator[str]:
    """Yield the beginnings of the passage, of its translation and of its rewriting."""
    marks = [*tagged.flags, *(error.kind for error in tagged.critical_errors)]
    flags = f"[{', '.join(marks)}] " if marks else ""
    versions = (("", tagged.passage.text), (f"→ {flags}", tagged.translation), ("⇒ ", tagged.refined))
    for mark, text in versions:
        if text is not None:
            yield mark + text[:_MAX_CHARACTERS] + ("…" if len(text) > _MAX_CHARACTERS else "")


def _scores(tagged: TaggedPassage) -> list[str]:
    if tagged.scores is not None:
        scores = tagged.scores.measured()
        return [f"{scores[name]:.1f}" if name in scores else "" for name in CRITERIA]
    if tagged.unscored is not None:
        return [f"none: {tagged.unscored}", "", ""]
    return ["–", "–", "–"]
