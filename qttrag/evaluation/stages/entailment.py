"""The agreement of a judge of support with labelled pairs of a text and a claim, in one language or across two.

Data of the form of CDCL-NLI, XNLI or PsiloQA: whether the premise supports the claim. What contradicts a premise and
what is neutral to it are both not supported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import qttrag
from qttrag.errors import InputError, unknown
from qttrag.evaluation import document
from qttrag.evaluation.document import Document, Figure
from qttrag.evaluation.report.tables import Table, interval_text
from qttrag.evaluation.runs import verdicts
from qttrag.evaluation.stages.text_files import opened
from qttrag.evaluation.statistics import kappa, wilson
from qttrag.protocols import SupportJudge
from qttrag.text.languages import language
from qttrag.types import Lang

LABELS = {
    "entailment": True,
    "supported": True,
    "neutral": False,
    "contradiction": False,
    "not_entailment": False,
    "not_supported": False,
}
_KEYS = ("premise", "claim", "lang", "label")
_ALL = "all"


class LabelledClaim(NamedTuple):
    """A claim and whether the premise supports it. `langs`: the language of the claim, or "ko from en" if the premise
    is in another."""

    premise: str
    claim: str
    lang: Lang
    supported: bool
    langs: str


def read(path: Path) -> list[LabelledClaim]:
    """Return the lines {"premise", "claim", "lang", "label"} of a JSONL file (also .gz); "premise_lang" is optional.

    `label`: true, false or one of `LABELS`; numbers mean different things in different data sets.

    Raises:
        ConfigError: the file does not exist, or a language is unknown.
        InputError: a line is invalid, or there is none."""
    with opened(path) as stream:
        labelled = [_labelled(line, f"{path}:{n}") for n, line in enumerate(stream, 1) if line.strip()]
    if not labelled:
        raise InputError(f"{path} has no lines; give JSON lines with {', '.join(_KEYS)}")
    return labelled


def _labelled(line: str, where: str) -> LabelledClaim:
    try:
        row = json.loads(line)
        premise, claim, lang, label = (row[key] for key in _KEYS)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{where}: not a JSON object with {', '.join(_KEYS)} ({error})") from error
    code = language(str(lang)).code
    of_premise = language(str(row.get("premise_lang", lang))).code
    langs = code if code == of_premise else f"{code} from {of_premise}"
    return LabelledClaim(str(premise), str(claim), code, _supported(label, where), langs)


def _supported(label: Any, where: str) -> bool:
    if isinstance(label, bool):
        return label
    if isinstance(label, str) and label.lower() in LABELS:
        return LABELS[label.lower()]
    raise InputError(f"{where}: {unknown('label', label, ['true', 'false', *LABELS])}")


async def decide(judge: SupportJudge, labelled: Sequence[LabelledClaim]) -> list[bool | None]:
    """Return the judge's verdict on each claim, None for undecided.

    Raises:
        StageError: the judge failed."""
    return await verdicts.each(list(labelled), lambda one: judge.supports(one.premise, one.claim, one.lang))


class AgreementCell(NamedTuple):
    """The agreement over `n` claims that the judge decided; `undecided` more are left out.

    `figures`: `labelled` and `judged`, the shares supported by the labels and by the judge; `accuracy`; `kappa`."""

    langs: str
    n: int
    undecided: int
    figures: dict[str, Figure]


def agreement(labelled: Sequence[LabelledClaim], decided: Sequence[bool | None], judge: str) -> list[AgreementCell]:
    """Return a cell for each combination of languages, and one for all of several. `judge`: for signatures."""
    together = list(zip(labelled, decided, strict=True))
    groups = {
        langs: [pair for pair in together if pair[0].langs == langs]
        for langs in dict.fromkeys(each.langs for each in labelled)
    }
    if len(groups) > 1:
        groups[_ALL] = together
    return [_cell(langs, group, judge) for langs, group in groups.items()]


def _cell(langs: str, group: Sequence[tuple[LabelledClaim, bool | None]], judge: str) -> AgreementCell:
    import numpy as np

    pairs = [(one.supported, verdict) for one, verdict in group if verdict is not None]
    shares = {
        "labelled": [label for label, _ in pairs],
        "judged": [verdict for _, verdict in pairs],
        "accuracy": [label == verdict for label, verdict in pairs],
    }
    found = {name: wilson(np.array(values, float), np.ones(len(pairs))) for name, values in shares.items()}
    found["kappa"] = kappa(pairs)
    about = f"judge:{judge}|langs:{langs}|n:{len(pairs)}"
    figures = {
        name: Figure(each, len(pairs), f"{name}|{about}|ci:{each.method}|v:{qttrag.__version__}")
        for name, each in found.items()
    }
    return AgreementCell(langs, len(pairs), len(group) - len(pairs), figures)


def table(cells: Sequence[AgreementCell]) -> Table:
    rows = [
        [
            *(cell.langs, str(cell.n), str(cell.undecided)),
            *(interval_text(cell.figures[name].interval) for name in ("labelled", "judged", "accuracy")),
            interval_text(cell.figures["kappa"].interval, 1, digits=2),
        ]
        for cell in cells
    ]
    columns = ["claims", "n", "undecided", "supported, labels %", "supported, judge %", "accuracy %", "kappa"]
    signatures = [figure.signature for cell in cells for figure in cell.figures.values()]
    return Table("the judge beside the labels, 95 % intervals", columns, rows, signatures)


def as_document(cells: Sequence[AgreementCell]) -> Document:
    """Return the figures as `--json` prints them."""
    entries = [document.cell(c.figures, langs=c.langs, n=c.n, undecided=c.undecided) for c in cells]
    return Document(command="support-judge", cells=entries)
