"""A suite: the questions, strategies and generators to evaluate on a deployment, and the comparison it is about.

extends: xor-tydi                # another suite; the settings here override its settings, null removes a row
deployment: served               # a file, or a name in server/
set: {depth: 20}                 # overrides settings of the deployment
datasets:                        # one row of the tables per language
  xor: {kind: xor_tydi, file: ./xor_dev_full_v1_1.jsonl, langs: [ko, fi], expected: {ko: 371, fi: 615}}
strategies:                      # by their names in the tables; keys other than `strategy:` are its options
  qtt_rag: {}
  no_tags: {strategy: qtt_rag, tags: false}
  english: {strategy: base, collections: [wiki-en], top_k: 3, depth: 20}   # also limits of its questions
generators:                      # overrides of the deployment's generator; {} is that generator
  qwen: {kind: openai, model: Qwen/Qwen2.5-7B-Instruct, base_url: "http://127.0.0.1:8000/v1"}
headline: {measure: char3_bergen, of: qtt_rag, over: cross_rag}   # by default, the last strategy over the first
run: {file: ./theirs.trec, ids: ./ids.tsv}    # another system's ranking instead of search and reranking
references: ./references.jsonl   # reference translations of passages, for `tags: oracle`
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qttrag import resources
from qttrag.application.factory import strategy_options
from qttrag.config import deployment as config
from qttrag.config import yaml_files
from qttrag.config.deployment import Deployment, Spec
from qttrag.errors import ConfigError, unknown
from qttrag.evaluation import datasets
from qttrag.evaluation.datasets import AnyDataset, DatasetSettings
from qttrag.evaluation.datasets.replay import TrecRunFile
from qttrag.evaluation.metrics.registry import check
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.types import AskLimits

_NAME = r"^\w[\w .+-]*$"  # a name is also a file name


class Headline(BaseModel):
    """The comparison that a suite is about: a strategy with another strategy, by one measure."""

    model_config = ConfigDict(extra="forbid")
    measure: str = "char3_bergen"
    of: str
    over: str


class Row(NamedTuple):
    """A row of the tables: a dataset in one language."""

    settings: DatasetSettings
    lang: str


class Strategy(NamedTuple):
    """A strategy by its name in the registry, its options, and the limits and collections of its questions."""

    strategy: str
    options: Spec
    limits: AskLimits = AskLimits()
    collections: tuple[str, ...] | None = None


class _OfQuestions(BaseModel):
    """The keys of a strategy that are no options of it."""

    model_config = ConfigDict(extra="forbid")
    depth: int | None = Field(default=None, ge=1, le=1000)
    top_k: int | None = Field(default=None, ge=1, le=100)
    collections: list[str] | None = Field(default=None, min_length=1)


class Suite(BaseModel):
    """The settings of a suite, those of the suites that it extends included."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: str = Field(pattern=_NAME)
    deployment: str = DEFAULT_DEPLOYMENT
    settings: Spec = Field(default={}, alias="set")
    datasets: dict[str, AnyDataset] = Field(min_length=1)
    strategies: dict[str, Spec] = Field(min_length=1)
    generators: dict[str, Spec] = Field(default={"own": {}}, min_length=1)
    headline: Headline
    run: TrecRunFile | None = None
    references: str | None = None
    in_flight: int = Field(default=16, ge=1, le=1024)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, data: Any) -> Any:
        """A suite for `qttrag eval retrieval` needs neither strategies nor a headline."""
        strategies = list(data.get("strategies") or {"base": {}}) if isinstance(data, dict) else []
        default = {"of": strategies[-1], "over": strategies[0]} if strategies else {}
        return {"strategies": {"base": {}}, "headline": default, **data} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for names in (self.datasets, self.strategies, self.generators):
            for name in names:
                if not re.match(_NAME, name):
                    raise ValueError(f"the name '{name}' is also a file name; use letters, digits, space and . _ + -")
        for name in (self.headline.of, self.headline.over):
            if name not in self.strategies:
                raise ValueError(unknown("strategy of the headline:", name, self.strategies))
        return self

    def rows(self) -> dict[str, Row]:
        """Return the rows of the tables by name, "DATASET LANG"."""
        return {
            f"{name} {lang}": Row(settings, lang) for name, settings in self.datasets.items() for lang in settings.langs
        }

    def strategy(self, name: str) -> Strategy:
        """Return the strategy that the suite calls `name`.

        Raises:
            ConfigError: there is no such strategy or option."""
        options = dict(self.strategies[name])
        strategy = str(options.pop("strategy", name))
        own = {key: options.pop(key) for key in _OfQuestions.model_fields if key in options}
        strategy_options(strategy, options)
        try:
            asked = _OfQuestions.model_validate(own)
        except ValidationError as error:
            where = f"suite '{self.name}', strategy '{name}'"
            raise ConfigError(yaml_files.explain(error, where, _OfQuestions.model_fields)) from error
        limits = AskLimits(depth=asked.depth, top_k=asked.top_k)
        return Strategy(strategy, options, limits, tuple(asked.collections) if asked.collections else None)

    def deployment_for(self, generator: str) -> Deployment:
        """Return the deployment with the suite's settings and the generator that the suite calls `generator`.

        Raises:
            ConfigError: the deployment is invalid."""
        own = self.generators[generator]
        return config.load(self.deployment, yaml_files.merge_settings(self.settings, {"generator": own} if own else {}))


def load(value: str, overrides: Mapping[str, Any] | None = None) -> Suite:
    """Return the suite in the file `value`, or of that name in `eval/`, with `overrides`.

    Raises:
        ConfigError: the file is missing, a key is unknown, a value has the wrong type, or suites extend each other."""
    path = resources.find("eval", value, what="suite")
    data = _without_null(yaml_files.merge_settings(_read(path, ()), overrides or {}))
    try:
        suite = Suite.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        fields = _fields_beside(data, yaml_files.complaint(error)["loc"])
        raise ConfigError(yaml_files.explain(error, str(path), fields)) from error
    check(suite.headline.measure)
    for name in suite.strategies:
        suite.strategy(name)
    return suite


def _read(path: Path, children: tuple[Path, ...]) -> Spec:
    if path in children:
        raise ConfigError(f"{path}: extends itself, through {' and '.join(map(str, children))}; remove one `extends:`")
    data = yaml_files.resolve_relative_paths(yaml_files.read_yaml(path), path.parent)
    parent = data.pop("extends", None)
    if parent is None:
        return dict(data)
    near = path.parent / f"{parent}.yaml"
    parent_path = near if near.is_file() else resources.find("eval", str(parent), what="suite")
    return yaml_files.merge_settings(_read(parent_path, (*children, path)), data)


def _without_null(data: Any) -> Any:
    """Return the settings without null ones, with which a suite removes rows of the suite that it extends."""
    tables = ("datasets", "strategies", "generators")
    without = {key: value for key, value in data.items() if value is not None}
    for table in tables:
        if isinstance(without.get(table), dict):
            without[table] = {name: row for name, row in without[table].items() if row is not None}
    return without


def _fields_beside(data: Mapping[str, Any], place: tuple[Any, ...]) -> dict[str, None]:
    """Return the keys that are allowed where the key at `place` is."""
    model: type[BaseModel] = Suite
    parents = list(place[:-1])
    if parents[:1] == ["datasets"] and len(parents) > 1:
        kind = data["datasets"][parents[1]].get("kind")
        if kind not in datasets.kinds():
            return {}
        model, parents = datasets.settings_class(kind), parents[2:]
    for name in parents:
        inner = _inner_model(model, name)
        if inner is None:
            return {}
        model = inner
    return dict.fromkeys(field.alias or name for name, field in model.model_fields.items() if name != "name")


def _inner_model(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Return the model of a field, None if the field has no model or several."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else None
    types = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
    models = [each for each in types if issubclass(each, BaseModel)]
    return models[0] if len(models) == 1 else None
