"""Published figures to show beside those of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag import resources
from qttrag.application.effective import flat
from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.registry import check
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.compared_settings import of_run
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell


class ReportedShare(BaseModel):
    """Further published figures, of one measure and strategy, by dataset; shares are in per cent."""

    model_config = ConfigDict(extra="forbid")
    measure: str
    strategy: str
    figures: dict[str, float]


class ReportedGain(BaseModel):
    """A published relative gain in per cent: the mean over the generators of `of` / `over` - 1 in one dataset."""

    model_config = ConfigDict(extra="forbid")
    dataset: str
    of: str
    over: str
    mean: float


class Gain(NamedTuple):
    """A relative gain here, over `n` generators, and there; in per cent."""

    reported: ReportedGain
    here: float
    n: int


class ReportedFigures(BaseModel):
    """Published figures of one measure. `figures`: by dataset and generator, in the order of `strategies`; shares
    are in per cent.

    `n`: the number of questions by dataset. `settings`: those of the deployment by dotted names ("reranker.model"), and
    of strategies ("strategies.qtt_rag.tag_place"); a list is of values that must be among ours.
    `models`: the model by generator. `shares`, `relative_gains`: further figures."""

    model_config = ConfigDict(extra="forbid")
    source: str
    measure: str
    strategies: list[str]
    figures: dict[str, dict[str, list[float]]]
    n: dict[str, int] = {}
    settings: dict[str, Any] = {}
    models: dict[str, str] = {}
    shares: list[ReportedShare] = []
    relative_gains: list[ReportedGain] = []

    def of(self, cell: Cell) -> float | None:
        """Return the published figure of a cell, None if there is none."""
        row = self.figures.get(cell.dataset, {}).get(cell.generator)
        if row is None or cell.strategy not in self.strategies:
            return None
        return row[self.strategies.index(cell.strategy)]

    def differences(self, run: Run, scored: Iterable[ScoredCell]) -> list[str]:
        """Return what differs between a run and the published figures beside its own: questions, settings, models.

        Settings of strategies that the run lacks are not compared; one that all generators share is named once."""
        compared = [cell for cell in scored if self.of(cell.cell) is not None]
        counts = {(cell.cell.dataset, len(cell.answers)): self.n.get(cell.cell.dataset) for cell in compared}
        different = [
            f"{dataset}: {n} questions here, {there} in {self.source}"
            for (dataset, n), there in counts.items()
            if there not in (None, n)
        ]
        generators = list(dict.fromkeys(cell.cell.generator for cell in compared))
        by_difference: dict[str, list[str]] = {}
        for generator in generators:
            for difference in self._of_settings(run, generator):
                by_difference.setdefault(difference, []).append(generator)
        for difference, some in by_difference.items():
            different.append(difference if len(some) == len(generators) else f"{', '.join(some)}: {difference}")
        return different

    def _of_settings(self, run: Run, generator: str) -> list[str]:
        settings = of_run(run, generator)
        rows = settings.suite["strategies"]
        own = {**settings.deployment, **flat({"strategies": rows})}
        model = {"generator.model": self.models[generator]} if generator in self.models else {}
        return [
            f"{name} {own.get(name)} here, {there} in {self.source}"
            for name, there in {**self.settings, **model}.items()
            if not _agree(own.get(name), there) and not _of_another_strategy(name, rows)
        ]

    def gains(self, values: Mapping[Cell, float]) -> list[Gain]:
        """Return the published relative gains that a run has, too. `values`: its figures of the measure."""
        return [gain for reported in self.relative_gains if (gain := _gain(reported, values)) is not None]


def _of_another_strategy(name: str, rows: Mapping[str, Any]) -> bool:
    parts = name.split(".")
    return parts[0] == "strategies" and parts[1] not in rows


def _agree(own: Any, there: Any) -> bool:
    return set(there) <= set(own or ()) if isinstance(there, list) else bool(own == there)


def _gain(reported: ReportedGain, values: Mapping[Cell, float]) -> Gain | None:
    pairs = [
        (value, values[over])
        for cell, value in values.items()
        if cell.dataset == reported.dataset
        and cell.strategy == reported.of
        and values.get(over := cell._replace(strategy=reported.over))
    ]
    if not pairs:
        return None
    return Gain(reported, 100 * statistics.fmean(of / over - 1 for of, over in pairs), len(pairs))


def load(value: str) -> ReportedFigures:
    """Return the figures in the file `value`, or of that name in `eval/reported/`.

    Raises:
        ConfigError: there is no such file, or it is invalid."""
    path = resources.find("eval/reported", value, what="file of reported figures")
    try:
        reported = ReportedFigures.model_validate(yaml_files.read_yaml(path))
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, str(path), ReportedFigures.model_fields)) from error
    for measure in (reported.measure, *(share.measure for share in reported.shares)):
        check(measure)
    n = len(reported.strategies)
    if any(len(row) != n for rows in reported.figures.values() for row in rows.values()):
        raise ConfigError(f"{path}: each row of `figures:` must have {n} figures, one per strategy of `strategies:`")
    return reported


def cells_of(share: ReportedShare, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a share was published for."""
    return [cell for cell in cells if cell.strategy == share.strategy and cell.dataset in share.figures]
