"""Published figures to show beside those of a run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag import resources
from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.evaluation.metrics.registry import check
from qttrag.evaluation.runs.answer_files import Cell


class ReportedFigures(BaseModel):
    """Published figures of one measure. `figures`: by dataset and generator, in the order of `strategies`; shares
    are in per cent."""

    model_config = ConfigDict(extra="forbid")
    source: str
    measure: str
    strategies: list[str]
    figures: dict[str, dict[str, list[float]]]

    def of(self, cell: Cell) -> float | None:
        """Return the published figure of a cell, None if there is none."""
        row = self.figures.get(cell.dataset, {}).get(cell.generator)
        if row is None or cell.strategy not in self.strategies:
            return None
        return row[self.strategies.index(cell.strategy)]


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
