"""TREC's formats: runs ("query Q0 passage rank score tag") and qrels ("query 0 passage relevance").

An id table translates another system's passage ids into ours: TSV lines "theirs<TAB>ours<TAB>lang"; the language is
optional. A "*" at the end of both ids stands for the same rest: "kilt-100w_*<TAB>wiki-en/*<TAB>en"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.datasets.files import lines
from qttrag.text.languages import language
from qttrag.types import Lang

_TAG = "qttrag"


class RunEntry(NamedTuple):
    """A passage in the ranking of a TREC run. `lang`: from the id table, None if unknown."""

    passage_id: str
    score: float
    lang: Lang | None = None


class MappedId(NamedTuple):
    """Our id of a passage, and its language if the table states it."""

    passage_id: str
    lang: Lang | None


class IdTable:
    """Our passage ids by another system's."""

    def __init__(self, exact: Mapping[str, MappedId], prefixes: Mapping[str, MappedId]) -> None:
        self._exact = exact
        self._prefixes = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    @classmethod
    def read(cls, path: str | Path) -> IdTable:
        """Return the table in a TSV file.

        Raises:
            ConfigError: the file does not exist.
            InputError: a line does not have two or three columns, or has a "*" on one side only."""
        exact: dict[str, MappedId] = {}
        prefixes: dict[str, MappedId] = {}
        for where, line in lines(_existing(path, "id table")):
            columns = line.split("\t")
            if len(columns) not in (2, 3) or columns[0].endswith("*") != columns[1].endswith("*"):
                raise InputError(
                    f"{where}: '{line}' is not theirs<TAB>ours<TAB>lang, with '*' after both ids or neither"
                )
            mapped = MappedId(columns[1].removesuffix("*"), language(columns[2]).code if len(columns) == 3 else None)
            (prefixes if columns[0].endswith("*") else exact)[columns[0].removesuffix("*")] = mapped
        return cls(exact, prefixes)

    def map(self, theirs: str) -> MappedId | None:
        """Return our id, None if the table lacks it; the longest prefix decides."""
        if theirs in self._exact:
            return self._exact[theirs]
        for prefix, mapped in self._prefixes:
            if theirs.startswith(prefix):
                return MappedId(mapped.passage_id + theirs.removeprefix(prefix), mapped.lang)
        return None


class TrecRun(NamedTuple):
    """The ranking of each query, best first. `unmapped`: how many lines were skipped because the id table lacks their
    passage."""

    rankings: dict[str, list[RunEntry]]
    unmapped: int


def read_run(path: str | Path, ids: IdTable | None = None) -> TrecRun:
    """Return a run, sorted by score as trec_eval sorts it: equal scores by id, the greater id first.

    Raises:
        ConfigError: the file does not exist.
        InputError: a line does not have six columns, or its score is not a number."""
    rankings: dict[str, list[RunEntry]] = {}
    unmapped = 0
    for where, line in lines(_existing(path, "run")):
        columns = line.split()
        if len(columns) != 6:
            raise InputError(f"{where}: {len(columns)} columns; a run has query, Q0, passage, rank, score, tag")
        mapped = ids.map(columns[2]) if ids else MappedId(columns[2], None)
        if mapped is None:
            unmapped += 1
            continue
        entry = RunEntry(mapped.passage_id, _number(where, columns[4]), mapped.lang)
        rankings.setdefault(columns[0], []).append(entry)
    for ranking in rankings.values():
        ranking.sort(key=lambda entry: (entry.score, entry.passage_id), reverse=True)
    return TrecRun(rankings, unmapped)


def write_run(path: Path, rankings: Mapping[str, Sequence[RunEntry]], *, tag: str = _TAG) -> None:
    """Write a run.

    Raises:
        InputError: an id has white space, which the format cannot hold; nothing is written."""
    rows = []
    for query_id, ranking in rankings.items():
        for rank, entry in enumerate(ranking, 1):
            if len(f"{query_id}|{entry.passage_id}".split()) != 1:
                raise InputError(f"a TREC run cannot hold the id '{query_id}' or '{entry.passage_id}': white space")
            rows.append(f"{query_id} Q0 {entry.passage_id} {rank} {entry.score!r} {tag}\n")
    path.write_text("".join(rows), encoding="utf-8")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Return the relevance of judged passages by query.

    Raises:
        ConfigError: the file does not exist.
        InputError: a line does not have four columns, or its relevance is not a number."""
    judged: dict[str, dict[str, int]] = {}
    for where, line in lines(_existing(path, "qrels")):
        columns = line.split()
        if len(columns) != 4:
            raise InputError(f"{where}: {len(columns)} columns; qrels have query, 0, passage, relevance")
        judged.setdefault(columns[0], {})[columns[2]] = int(_number(where, columns[3]))
    return judged


def _number(where: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: '{text}' is not a number") from None


def _existing(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise ConfigError(f"no {what} at '{path}'; check the path")
    return Path(path)
