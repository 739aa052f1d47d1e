"""TREC's files: runs ("query Q0 passage rank score tag") and qrels ("query 0 passage relevance").

Another system's passage ids are told from ours by a table: TSV lines "theirs<TAB>ours<TAB>lang", the language being
optional. A "*" at the end of both stands for the same rest of an id: "kilt-100w_*<TAB>wiki-en/*<TAB>en"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.datasets.files import lines
from qttrag.text.languages import language
from qttrag.types import Lang

_TAG = "qttrag"


class Ranked(NamedTuple):
    """A passage of a run. `lang`: as the table of ids says, None where it does not."""

    passage_id: str
    score: float
    lang: Lang | None = None


class Named(NamedTuple):
    """What the table says of an id."""

    passage_id: str
    lang: Lang | None


class IdMap:
    """Another system's passage ids in our terms."""

    def __init__(self, exact: Mapping[str, Named], prefixes: Mapping[str, Named]) -> None:
        self._exact = exact
        self._prefixes = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    @classmethod
    def read(cls, path: str | Path) -> IdMap:
        """Return the map in a TSV file.

        Raises:
            ConfigError: there is no such file.
            InputError: a line has not two or three columns, or a "*" on one side only."""
        exact: dict[str, Named] = {}
        prefixes: dict[str, Named] = {}
        for where, line in lines(_existing(path, "table of ids")):
            cells = line.split("\t")
            if len(cells) not in (2, 3) or cells[0].endswith("*") != cells[1].endswith("*"):
                raise InputError(f"{where}: '{line}' is not theirs<TAB>ours<TAB>lang, with a '*' at both ends or none")
            named = Named(cells[1].removesuffix("*"), language(cells[2]).code if len(cells) == 3 else None)
            (prefixes if cells[0].endswith("*") else exact)[cells[0].removesuffix("*")] = named
        return cls(exact, prefixes)

    def of(self, theirs: str) -> Named | None:
        """Return what an id is called here, or None if the table does not say; the longest prefix decides."""
        if theirs in self._exact:
            return self._exact[theirs]
        for prefix, named in self._prefixes:
            if theirs.startswith(prefix):
                return Named(named.passage_id + theirs.removeprefix(prefix), named.lang)
        return None


class Run(NamedTuple):
    """The passages of each query, best first. `unmapped`: lines left out, as the table of ids lacks their passage."""

    rankings: dict[str, list[Ranked]]
    unmapped: int


def read_run(path: str | Path, ids: IdMap | None = None) -> Run:
    """Return a run, sorted by score as trec_eval does: equal scores by id, the greater first.

    Raises:
        ConfigError: there is no such file.
        InputError: a line has not six columns, or a rank or score that is none."""
    rankings: dict[str, list[Ranked]] = {}
    unmapped = 0
    for where, line in lines(_existing(path, "run")):
        cells = line.split()
        if len(cells) != 6:
            raise InputError(f"{where}: {len(cells)} columns; a run has query, Q0, passage, rank, score, tag")
        named = ids.of(cells[2]) if ids else Named(cells[2], None)
        if named is None:
            unmapped += 1
            continue
        ranked = Ranked(named.passage_id, _number(where, cells[4]), named.lang)
        rankings.setdefault(cells[0], []).append(ranked)
    for ranking in rankings.values():
        ranking.sort(key=lambda each: (each.score, each.passage_id), reverse=True)
    return Run(rankings, unmapped)


def write_run(path: Path, rankings: Mapping[str, Sequence[Ranked]], *, tag: str = _TAG) -> None:
    """Write a run; ids with white space, which the format cannot hold, are an InputError, and nothing is written."""
    made = []
    for query_id, ranking in rankings.items():
        for rank, each in enumerate(ranking, 1):
            if len(f"{query_id}|{each.passage_id}".split()) != 1:
                raise InputError(f"a TREC run cannot hold the id '{query_id}' or '{each.passage_id}': white space")
            made.append(f"{query_id} Q0 {each.passage_id} {rank} {each.score!r} {tag}\n")
    path.write_text("".join(made), encoding="utf-8")


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Return the relevance of judged passages by query.

    Raises:
        ConfigError: there is no such file.
        InputError: a line has not four columns, or a relevance that is no number."""
    judged: dict[str, dict[str, int]] = {}
    for where, line in lines(_existing(path, "qrels")):
        cells = line.split()
        if len(cells) != 4:
            raise InputError(f"{where}: {len(cells)} columns; qrels have query, 0, passage, relevance")
        judged.setdefault(cells[0], {})[cells[2]] = int(_number(where, cells[3]))
    return judged


def _number(where: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{where}: '{cell}' is not a number") from None


def _existing(path: str | Path, what: str) -> Path:
    if not Path(path).is_file():
        raise ConfigError(f"no {what} at '{path}'; check the path")
    return Path(path)
