"""The JSON form of answers, the same on the command line and over HTTP.

`details`: with the parts of notes that are for the operator only, which HTTP leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from qttrag.trace import Note, Trace
from qttrag.types import (
    Answer,
    Citations,
    CriticalError,
    PartialAnswer,
    Passage,
    Place,
    QualityScores,
    Query,
    TaggedPassage,
    Verdict,
)


def answer_as_dict(answer: Answer, *, details: bool = False) -> dict[str, Any]:
    trace = answer.trace.as_dict(details=details)
    return {
        "question": answer.query.text,
        "lang": answer.lang,
        "strategy": answer.strategy,
        "collections": answer.query.collections,
        "answer": answer.text,
        "finish_reason": answer.finish_reason,
        "reasoning": answer.reasoning,
        "abstained": answer.abstained,
        "citations": asdict(answer.citations),
        "language_check": answer.language_check,
        "degraded": trace["degraded"],
        "passages": passages_as_dicts(answer.context),
        "trace": trace,
    }


def answer_from_dict(fields: Mapping[str, Any]) -> Answer:
    """Return the answer that `answer_as_dict` returned as JSON, with its notes as far as they were in it."""
    return Answer(
        Query(fields["question"], fields["lang"], collections=_tuple(fields["collections"])),
        fields["answer"],
        fields["lang"],
        tuple(map(_passage_from_dict, fields["passages"])),
        _trace_from_dict(fields["trace"]),
        fields["abstained"],
        Citations(**{name: _tuple(value) for name, value in fields["citations"].items()}),
        fields["language_check"],
        fields["strategy"],
        fields["finish_reason"],
        fields["reasoning"],
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _passage_from_dict(fields: Mapping[str, Any]) -> TaggedPassage:
    own = {name: fields[name] for name in ("translation", "refined", "unscored", "score", "retrieved_rank")}
    return TaggedPassage(
        Passage(fields["passage_id"], fields["text"], fields["lang"], fields["title"], _place(fields)),
        scores=fields["scores"] and QualityScores(**fields["scores"]),
        flags=tuple(fields["flags"]),
        critical_errors=tuple(
            CriticalError(error["kind"], tuple(error["original"])) for error in fields["critical_errors"]
        ),
        original_names=tuple(fields.get("original_names", ())),  # answers of older runs have none
        **own,
    )


def _place(fields: Mapping[str, Any]) -> Place | None:
    return None if fields["file"] is None else Place(fields["file"], fields["page"], tuple(fields["headings"]))


def _trace_from_dict(fields: Mapping[str, Any]) -> Trace:
    notes, degraded = ([Note(text) for text in fields[name]] for name in ("notes", "degraded"))
    return Trace(dict(fields["seconds"]), Counter(fields["counts"]), notes, degraded, dict(fields["reasoning"]))


def partial_as_dict(partial: PartialAnswer, *, details: bool = False) -> dict[str, Any]:
    """Return what was done before a deadline; without "passages" and "answer" where no question was asked."""
    passages = None if partial.passages is None else passages_as_dicts(partial.passages)
    fields = {"passages": passages, "answer": partial.text, "trace": partial.trace.as_dict(details=details)}
    return {name: value for name, value in fields.items() if value is not None}


def passages_as_dicts(context: Sequence[TaggedPassage]) -> list[dict[str, Any]]:
    """Return the passages, numbered from 1 as the answer cites them."""
    return [passage_as_dict(tagged, n) for n, tagged in enumerate(context, 1)]


def passage_as_dict(tagged: TaggedPassage, n: int) -> dict[str, Any]:
    """Return passage number `n`: its own fields beside those of `TaggedPassage`."""
    fields = asdict(tagged)
    lists = {
        "flags": list(tagged.flags),
        "critical_errors": critical_errors_as_dicts(tagged.critical_errors),
        "original_names": list(tagged.original_names),
    }
    del fields["passage"]
    return {"n": n, **passage_fields(tagged.passage), **fields, **lists}


def passage_fields(passage: Passage) -> dict[str, Any]:
    """Return a passage's own fields. `file`, `page`, `headings`: its place in a document; null and [] without one."""
    fields = asdict(passage)
    place = fields.pop("place") or {"file": None, "page": None, "headings": ()}
    return {**fields, **place, "headings": list(place["headings"])}


def verdict_as_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "scores": verdict.scores and asdict(verdict.scores),
        "unscored": verdict.cause,
        "critical_errors": critical_errors_as_dicts(verdict.critical_errors),
    }


def critical_errors_as_dicts(errors: Sequence[CriticalError]) -> list[dict[str, Any]]:
    return [{"kind": error.kind, "original": list(error.original)} for error in errors]
