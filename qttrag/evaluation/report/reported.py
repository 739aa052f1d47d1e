"""Published figures to show beside those of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag import resources
from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.registry import check
from qttrag.evaluation.runs.answer_files import Cell
from qttrag.evaluation.runs.folder import Run
from qttrag.evaluation.runs.scoring import ScoredCell


class ReportedFigures(BaseModel):
    """Published figures of one measure. `figures`: by dataset and generator, in the order of `strategies`; shares
    are in per cent.

    `n`: the number of questions by dataset. `settings`: those of the deployment, by dotted names ("reranker.model").
    `models`: the model by generator."""

    model_config = ConfigDict(extra="forbid")
    source: str
    measure: str
    strategies: list[str]
    figures: dict[str, dict[str, list[float]]]
    n: dict[str, int] = {}
    settings: dict[str, Any] = {}
    models: dict[str, str] = {}

    def of(self, cell: Cell) -> float | None:
        """Return the published figure of a cell, None if there is none."""
        row = self.figures.get(cell.dataset, {}).get(cell.generator)
        if row is None or cell.strategy not in self.strategies:
            return None
        return row[self.strategies.index(cell.strategy)]

    def differences(self, run: Run, scored: Iterable[ScoredCell]) -> list[str]:
        """Return what differs between a run and the published figures beside its own: questions, settings, models."""
        compared = [cell for cell in scored if self.of(cell.cell) is not None]
        counts = {(cell.cell.dataset, len(cell.answers)): self.n.get(cell.cell.dataset) for cell in compared}
        different = [
            f"{dataset}: {n} questions here, {there} in {self.source}"
            for (dataset, n), there in counts.items()
            if there not in (None, n)
        ]
        for generator in dict.fromkeys(cell.cell.generator for cell in compared):
            here = run.identity["deployments"][generator]
            model = {"generator.model": self.models[generator]} if generator in self.models else {}
            for name, there in {**self.settings, **model}.items():
                if (own := _setting(here, name)) != there:
                    different.append(f"{generator}: {name} {own} here, {there} in {self.source}")
        return different


def _setting(settings: Any, name: str) -> Any:
    """Return the setting of a dotted name, None if it is absent."""
    for key in name.split("."):
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def load(value: str) -> ReportedFigures:
    """Return the figures in the file `value`, or of that name in `eval/reported/`.

    Raises:
        ConfigError: there is no such file, or it is invalid."""
    path = resources.find("eval/reported", value, what="file of reported figures")
    try:
        reported = ReportedFigures.model_validate(yaml_files.read_yaml(path))
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, str(path), ReportedFigures.model_fields)) from error
    check(reported.measure)
    n = len(reported.strategies)
    if any(len(row) != n for rows in reported.figures.values() for row in rows.values()):
        raise ConfigError(f"{path}: each row of `figures:` must have {n} figures, one per strategy of `strategies:`")
    return reported
