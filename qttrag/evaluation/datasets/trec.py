"""TREC's formats: runs ("query Q0 passage rank score tag") and qrels ("query 0 passage relevance").

An id table translates another system's passage ids into ours: TSV lines "theirs<TAB>ours<TAB>lang"; the language is
optional. A "*" at the end of both ids stands for the same rest: "kilt-100w_*<TAB>wiki-en/*<TAB>en"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.datasets.files import language_of, lines
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
            mapped = MappedId(
                columns[1].removesuffix("*"), language_of(where, columns[2]) if len(columns) == 3 else None
            )
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
    passage. `repeated`: how many were skipped because their passage has a better place in the same ranking."""

    rankings: dict[str, list[RunEntry]]
    unmapped: int
    repeated: int = 0

    @property
    def skipped(self) -> list[str]:
        """Return the causes of skipped lines, each with its number."""
        causes = {
            "of its lines have a passage that the id table lacks": self.unmapped,
            "of its lines repeat a passage of the same ranking, and its best place counts": self.repeated,
        }
        return [f"{n} {cause}" for cause, n in causes.items() if n]


def read_run(path: str | Path, ids: IdTable | None = None) -> TrecRun:
    """Return a run, sorted by score as trec_eval sorts it: equal scores by id, the greater id first.

    A passage counts once, at its best place; trec_eval refuses a run that repeats one.

    Raises:
        ConfigError: the file does not exist.
        InputError: a line does not have six columns, or its score is not a finite number."""
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
        entry = RunEntry(mapped.passage_id, _finite(where, columns[4]), mapped.lang)
        rankings.setdefault(columns[0], []).append(entry)
    unique = {query: list(_best_places(ranking)) for query, ranking in rankings.items()}
    return TrecRun(unique, unmapped, sum(map(len, rankings.values())) - sum(map(len, unique.values())))


def _best_places(ranking: Sequence[RunEntry]) -> Iterator[RunEntry]:
    seen: set[str] = set()
    for entry in sorted(ranking, key=lambda entry: (entry.score, entry.passage_id), reverse=True):
        if entry.passage_id not in seen:
            seen.add(entry.passage_id)
            yield entry


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
    """Return the relevance of judged passages by query: of TREC's four columns, or of BEIR's three with a header.

    Raises:
        ConfigError: the file does not exist.
        InputError: a line has other columns, its relevance is no whole number, or it contradicts another."""
    judged: dict[str, dict[str, int]] = {}
    rows = [(where, line.split()) for where, line in lines(_existing(path, "qrels"))]
    of_beir = bool(rows) and rows[0][1][:2] == ["query-id", "corpus-id"]
    for where, columns in rows[1:] if of_beir else rows:
        if len(columns) != (3 if of_beir else 4):
            form = "query, passage, relevance" if of_beir else "query, 0, passage, relevance"
            raise InputError(f"{where}: {len(columns)} columns; these qrels have {form}")
        query, passage_id, text = columns[0], columns[-2], columns[-1]
        relevance = _finite(where, text)
        if not relevance.is_integer():
            raise InputError(f"{where}: the relevance '{text}' is not a whole number")
        if judged.setdefault(query, {}).setdefault(passage_id, int(relevance)) != relevance:
            raise InputError(f"{where}: '{passage_id}' has another relevance for query '{query}' before; remove one")
    return judged


def compared(path: Path, run: TrecRun, qrels: Path | None, judged: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return what a reader of a run's figures should know: skipped lines, and judged queries that it lacks.

    Raises:
        InputError: the qrels judge no query of the run."""
    notes = [f"run {path}: {note}" for note in run.skipped]
    if qrels is not None and not judged.keys() & run.rankings.keys():
        raise InputError(f"{qrels} judges none of the queries of {path}, e.g. '{min(run.rankings, default='')}'")
    if missing := len(judged.keys() - run.rankings.keys()):
        notes.append(f"{missing} of {len(judged)} judged queries are missing from {path} and count as zero")
    return notes


def _finite(where: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: '{text}' is not a finite number")
    return number


def _existing(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise ConfigError(f"no {what} at '{path}'; check the path")
    return Path(path)
