"""A suite: which questions are answered by which strategies and generators of which deployment, and what is compared.

extends: xor-tydi                # another suite; what is said here goes over it, null takes a row away
deployment: paper                # a file, or a name in server/
set: {depth: 20}                 # over the deployment
datasets:                        # one row of the tables per language
  xor: {kind: xor_tydi, file: ./xor_dev_full_v1_1.jsonl, langs: [ko, fi], expected: {ko: 371, fi: 615}}
strategies:                      # by the name they have in tables; anything but `strategy:` is an option
  qtt_rag: {}
  no_tags: {strategy: qtt_rag, tags: false}
generators:                      # over the deployment's own; {} is that
  qwen: {kind: openai, model: Qwen/Qwen2.5-7B-Instruct, base_url: "http://127.0.0.1:8000/v1"}
headline: {measure: char3_bergen, of: qtt_rag, over: cross_rag}
run: {file: ./theirs.trec, ids: ./ids.tsv}    # another system's ranking instead of search and reranking
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qttrag import resources
from qttrag.application.factory import strategy_options
from qttrag.config import deployment as config
from qttrag.config import yaml_files
from qttrag.config.deployment import Deployment, Spec
from qttrag.errors import ConfigError, unknown
from qttrag.evaluation.datasets import DatasetFile, DatasetSpec
from qttrag.evaluation.datasets.replay import RunFile
from qttrag.evaluation.metrics.registry import check
from qttrag.resources import DEFAULT_DEPLOYMENT

_NAME = r"^\w[\w .+-]*$"  # a name is a file's, too


class DatasetRows(DatasetFile):
    """A dataset in several languages. `expected`: how many questions there ought to be, by language."""

    langs: list[str] = Field(min_length=1)
    expected: dict[str, int] = Field(default={})

    def specs(self, name: str) -> dict[str, DatasetSpec]:
        """Return a row's settings by its name, "NAME LANG"."""
        common = {field: getattr(self, field) for field in DatasetFile.model_fields}
        return {
            f"{name} {lang}": DatasetSpec(**common, lang=lang, expected=self.expected.get(lang)) for lang in self.langs
        }


class Headline(BaseModel):
    """The comparison a suite is about: the `measure` of a strategy over that of another."""

    model_config = ConfigDict(extra="forbid")
    measure: str = "char3_bergen"
    of: str
    over: str


class Strategy(NamedTuple):
    """A strategy by its name in the registry, and its options."""

    strategy: str
    options: Spec


class Suite(BaseModel):
    """What a suite's file says, with all that it extends."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: str = Field(pattern=_NAME)
    deployment: str = DEFAULT_DEPLOYMENT
    settings: Spec = Field(default={}, alias="set")
    datasets: dict[str, DatasetRows] = Field(min_length=1)
    strategies: dict[str, Spec] = Field(min_length=1)
    generators: dict[str, Spec] = Field(default={"own": {}}, min_length=1)
    headline: Headline
    run: RunFile | None = None
    in_flight: int = Field(default=16, ge=1, le=1024)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        import re

        for names in (self.datasets, self.strategies, self.generators):
            for name in names:
                if not re.match(_NAME, name):
                    raise ValueError(f"the name '{name}' is also a file's; use letters, digits, space and . _ + -")
        for name in (self.headline.of, self.headline.over):
            if name not in self.strategies:
                raise ValueError(unknown("strategy of the headline:", name, self.strategies))
        return self

    def rows(self) -> dict[str, DatasetSpec]:
        """Return the datasets' settings by the names of their rows."""
        return {row: spec for name, rows in self.datasets.items() for row, spec in rows.specs(name).items()}

    def strategy(self, name: str) -> Strategy:
        """Return what the suite calls `name`.

        Raises:
            ConfigError: there is no such strategy or option."""
        options = dict(self.strategies[name])
        strategy = str(options.pop("strategy", name))
        strategy_options(strategy, options)
        return Strategy(strategy, options)

    def deployment_for(self, generator: str) -> Deployment:
        """Return the deployment with the suite's settings, and the generator that the suite calls `generator`.

        Raises:
            ConfigError: it is not as it must be."""
        own = self.generators[generator]
        return config.load(self.deployment, yaml_files.merge_settings(self.settings, {"generator": own} if own else {}))


def load(value: str, overrides: Mapping[str, Any] | None = None) -> Suite:
    """Return the suite in the file `value`, or of that name in `eval/`, under `overrides`.

    Raises:
        ConfigError: no such file, an unknown key, a value of the wrong type, suites that extend each other."""
    path = resources.find("eval", value, what="suite")
    data = _without_null(yaml_files.merge_settings(_read(path, ()), overrides or {}))
    try:
        suite = Suite.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        fields = _fields_at(yaml_files.complaint(error)["loc"])
        raise ConfigError(yaml_files.explain(error, str(path), fields)) from error
    check(suite.headline.measure)
    for name in suite.strategies:
        suite.strategy(name)
    return suite


def _read(path: Path, below: tuple[Path, ...]) -> Spec:
    if path in below:
        raise ConfigError(f"{path}: extends itself, by way of {' and '.join(map(str, below))}; take one `extends:` out")
    data = yaml_files.resolve_relative_paths(yaml_files.read_yaml(path), path.parent)
    parent = data.pop("extends", None)
    if parent is None:
        return dict(data)
    near = path.parent / f"{parent}.yaml"
    found = near if near.is_file() else resources.find("eval", str(parent), what="suite")
    return yaml_files.merge_settings(_read(found, (*below, path)), data)


def _without_null(data: Any) -> Any:
    """Return the settings without the rows that are null, of which a suite takes away what it extends has."""
    tables = ("datasets", "strategies", "generators")
    kept = {key: value for key, value in data.items() if value is not None}
    for table in tables:
        if isinstance(kept.get(table), dict):
            kept[table] = {name: row for name, row in kept[table].items() if row is not None}
    return kept


def _fields_at(place: tuple[Any, ...]) -> dict[str, None]:
    """Return the keys that are allowed beside the one at `place`."""
    inner: dict[str, type[BaseModel]] = {"datasets": DatasetRows, "headline": Headline, "run": RunFile}
    model = inner.get(str(place[0]), Suite) if len(place) > 1 else Suite
    return dict.fromkeys(field.alias or name for name, field in model.model_fields.items() if name != "name")
