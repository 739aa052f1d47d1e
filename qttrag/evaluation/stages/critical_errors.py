"""How often the checks for critical errors are right: on good translations, and on those with a planted error."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.report.tables import Table
from qttrag.taggers.critical_errors.check import critical_errors
from qttrag.types import Lang

KINDS = ("numbers", "names", "negation", "omission")


class CheckedPair(NamedTuple):
    """A text with a good translation, and that translation with a planted error; None: without one."""

    original: str
    translation: str
    damaged: str | None = None


def read(path: Path, columns: Sequence[str]) -> list[CheckedPair]:
    """Return the rows of a TSV file with a header; `columns`: original, translation and perhaps damaged translation.

    A damaged translation that is empty or equals the good one counts as none.

    Raises:
        ConfigError: the file does not exist.
        InputError: a column is missing."""
    with _opened(path) as stream:
        rows = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        for name in columns:
            if name not in (rows.fieldnames or ()):
                raise InputError(f"{path}: no column '{name}' (columns: {', '.join(rows.fieldnames or ())})")
        return [_pair(*(row[name] or "" for name in columns)) for row in rows]


def read_lines(originals: Path, translations: Path) -> list[CheckedPair]:
    """Return the pairs of two files with one text a line.

    Raises:
        ConfigError: a file does not exist.
        InputError: the files have different numbers of lines."""
    with _opened(originals) as one, _opened(translations) as other:
        lines = [one.read().splitlines(), other.read().splitlines()]
    if len(lines[0]) != len(lines[1]):
        raise InputError(f"{originals} has {len(lines[0])} lines and {translations} {len(lines[1])}; align them")
    return [CheckedPair(*pair) for pair in zip(*lines, strict=True)]


def table(title: str, pairs: Sequence[CheckedPair], source: Lang, target: Lang) -> Table:
    """Return, by check and for any of them, how many good and how many damaged translations have a flag.

    The precision is that for as many damaged translations as there are here."""
    good = [_flags(pair.original, pair.translation, source, target) for pair in pairs]
    damaged = [_flags(p.original, p.damaged, source, target) for p in pairs if p.damaged is not None]
    rows = []
    for kind in (*KINDS, "any"):
        wrong, right = ([bool(flags if kind == "any" else kind in flags) for flags in some] for some in (good, damaged))
        precision = [True] * sum(right) + [False] * sum(wrong) if damaged else []
        rows.append([kind, *_share(wrong), *_share(right), _share(precision)[2]])
    columns = ["check", "good", "false alarms", "false %", "damaged", "found", "found %", "precision %"]
    return Table(title, columns, rows, [])


def _share(flagged: Sequence[bool]) -> list[str]:
    share = f"{100 * sum(flagged) / len(flagged):.1f}" if flagged else "–"
    return [str(len(flagged)), str(sum(flagged)), share]


def _flags(original: str, translation: str, source: Lang, target: Lang) -> set[str]:
    return {error.kind for error in critical_errors(original, translation, source, target)}


def _pair(original: str, translation: str, damaged: str = "") -> CheckedPair:
    return CheckedPair(original, translation, damaged if damaged not in ("", translation) else None)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if not path.is_file():
        raise ConfigError(f"no file '{path}'; check the path")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        yield stream
