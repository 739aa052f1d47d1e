"""Builds the stages of a deployment; each setting is checked against the parameter of a constructor."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from qttrag.application import registry
from qttrag.config.deployment import Deployment, Spec
from qttrag.config.yaml_files import explain
from qttrag.errors import ConfigError, renamed, unknown
from qttrag.indexes.jobs.workers import kind_of, kind_settings
from qttrag.indexes.recipe import EncoderSettings
from qttrag.prompts import Prompts
from qttrag.protocols import PROTOCOLS, Encoder, VectorStore
from qttrag.runtime.result_cache import ResultCache

OWN = "deployment"
"""In place of a nested stage's settings: the deployment's own stage."""
_STAGE_OF = {protocol: name for name, protocol in PROTOCOLS.items()}


class Builder:
    """Builds stages. Equal settings give one object, so that a model that is named twice is loaded once."""

    def __init__(self, deployment: Deployment, prompts: Prompts, cache: ResultCache | None) -> None:
        self._deployment = deployment
        self._given: dict[type, object] = {Prompts: prompts}
        self._cache = cache
        self._built: dict[str, Any] = {}

    def build(self, stage: str, spec: Spec) -> Any:
        """Return the stage that `spec` describes; a translator or generator is wrapped in its cache.

        Raises:
            ConfigError: an unknown kind or setting, a missing one, or one of the wrong type."""
        key = stage + json.dumps(spec, sort_keys=True, default=str)
        if key not in self._built:
            self._built[key] = self._wrap(stage, self._construct(stage, spec))
        return self._built[key]

    def _construct(self, stage: str, spec: Spec) -> Any:
        spec = _as_kind(stage, spec)
        if "kind" not in spec:
            raise ConfigError(f"{stage}: `kind:` is missing (known: {', '.join(sorted(registry.kinds(stage)))})")
        settings = dict(spec)
        kind = settings.pop("kind")
        constructor = registry.resolve(stage, kind)
        where = f"{stage} kind '{kind}'"
        return self._called(where, constructor, settings)

    def _called(self, where: str, constructor: Callable[..., Any], settings: Spec) -> Any:
        """Return what the constructor makes of settings, in which stages are settings of their own."""
        _reject_renamed(where, constructor, settings)
        parameters = _parameters(constructor)
        arguments: dict[str, Any] = {}
        for name, (annotation, default) in list(parameters.items()):
            if annotation in self._given:
                arguments[name] = self._given[annotation]
            elif nested := _stage(annotation):
                if default is None and name not in settings:
                    parameters[name] = (Any, None)
                    continue
                arguments[name] = self.build(nested, self._nested(where, name, nested, settings))
            elif nested := _listed_stage(annotation):
                if name not in settings:
                    parameters[name] = (list, default)  # reported as a missing setting
                    continue
                arguments[name] = self._list(where, name, nested, settings[name])
            elif record := _listed_record(annotation):
                if name not in settings:
                    parameters[name] = (list, default)
                    continue
                arguments[name] = self._records(where, name, record, settings[name])
            else:
                continue
            del parameters[name]
            settings.pop(name, None)
        return constructor(**arguments, **check_settings(where, settings, parameters))

    def _nested(self, where: str, name: str, stage: str, settings: Spec) -> Spec:
        inherited = self._deployment.retriever.get("encoder") if stage == "encoder" else None
        own = getattr(self._deployment, name, inherited)
        spec = settings.get(name, own)
        if spec == OWN:
            if own is None:
                raise ConfigError(f"{where}: `{name}: {OWN}`: the deployment has no `{name}:`; add one")
            spec = own
        if not isinstance(spec, dict):
            raise ConfigError(f"{where}: `{name}:` must hold {_settings_of_a(stage)}, e.g. `{name}: {{kind: ...}}`")
        return spec

    def _list(self, where: str, name: str, stage: str, items: Any) -> list[Any]:
        """Return the items of a list: names unchanged, settings as the stages that they describe."""
        if not isinstance(items, list) or not all(isinstance(item, str | dict) for item in items):
            raise ConfigError(f"{where}: `{name}: {items}`: give a list of names or of the settings of {stage}s")
        return [item if isinstance(item, str) else self.build(stage, item) for item in items]

    def _records(self, where: str, name: str, record: type, items: Any) -> list[Any]:
        """Return the items of a list of settings as records, of which some fields are stages."""
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise ConfigError(f"{where}: `{name}: {items}`: give a list of settings")
        for item in items:
            for field, (annotation, _) in _parameters(record).items():
                if (nested := _stage(annotation)) and field not in item:  # the deployment's own would be this stage
                    raise ConfigError(f"{where}: an item of `{name}:` has no `{field}:`; give {_settings_of_a(nested)}")
        return [self._called(f"{where}, `{name}:` item {n}", record, dict(item)) for n, item in enumerate(items, 1)]

    def _wrap(self, stage: str, built: Any) -> Any:
        if self._cache is None or getattr(built, "PARTS_ARE_CACHED", False):
            return built
        if stage == "translator":
            from qttrag.translators.cached import CachedTranslator

            return CachedTranslator(built, self._cache)
        if stage == "generator":
            from qttrag.generators.cached import CachedGenerator

            return CachedGenerator(built, self._cache)
        return built

    def built(self) -> list[tuple[str, object]]:
        """Return (stage, object) of every object built so far."""
        return [(key.split("{", 1)[0], built) for key, built in self._built.items()]


def build_alone(stage: str, spec: Spec) -> Any:
    """Return a stage without a deployment, from which it would take stages that `spec` does not have.

    Raises:
        ConfigError: as `Builder.build`."""
    return Builder(Deployment(retriever={}, generator={}), Prompts(), None).build(stage, spec)


class Setting(NamedTuple):
    """A setting of a kind. `type`: in words. `default`: None if the setting is required."""

    name: str
    type: str
    required: bool
    default: Any


def settings_of(constructor: Callable[..., Any]) -> list[Setting]:
    """Return the settings of a kind, in the order of its constructor's parameters."""
    settings = []
    for name, (annotation, default) in _parameters(constructor).items():
        if stage := _stage(annotation):
            required = default is ... and name not in Deployment.model_fields  # else the deployment's own
            settings.append(Setting(name, _settings_of_a(stage), required, None))
        elif stage := _listed_stage(annotation):
            settings.append(Setting(name, f"list of names or of {stage}s' settings", default is ..., None))
        elif record := _listed_record(annotation):
            fields = ", ".join(setting.name for setting in settings_of(record))
            settings.append(Setting(name, f"list of settings ({fields})", default is ..., None))
        elif annotation is not Prompts:
            settings.append(Setting(name, _words(annotation), default is ..., None if default is ... else default))
    return settings


def _settings_of_a(stage: str) -> str:
    return f"{'an' if stage[0] in 'aeiou' else 'a'} {stage}'s settings"


def _words(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    words = annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)
    return words.replace("typing.", "").replace("None", "null")


class StageSettings(NamedTuple):
    """A stage's settings in a deployment, the keys of their place, and the settings that its kind has."""

    stage: str
    keys: tuple[str, ...]
    spec: Spec
    takes: frozenset[str]


def stage_settings(deployment: Deployment) -> Iterator[StageSettings]:
    """Yield the settings of every stage of a deployment, nested stages after the stage that contains them.

    Raises:
        ConfigError: an unknown kind, or a library it needs is not installed."""
    for stage in PROTOCOLS:
        if spec := getattr(deployment, stage, None):
            yield from _stage_settings(stage, (stage,), spec)


def _stage_settings(stage: str, keys: tuple[str, ...], spec: Spec) -> Iterator[StageSettings]:
    spec = _as_kind(stage, spec)
    parameters = _parameters(registry.resolve(stage, spec.get("kind")))
    yield StageSettings(stage, keys, spec, frozenset(parameters))
    for name, (annotation, _) in parameters.items():
        inner = spec.get(name)
        if (nested := _stage(annotation)) and isinstance(inner, dict):
            yield from _stage_settings(nested, (*keys, name), inner)
        elif (record := _listed_record(annotation)) and isinstance(inner, list):
            for n, item in enumerate(inner):
                for field, (of_field, _) in _parameters(record).items():
                    if (nested := _stage(of_field)) and isinstance(item, dict) and isinstance(item.get(field), dict):
                        yield from _stage_settings(nested, (*keys, name, str(n), field), item[field])
        elif (nested := _listed_stage(annotation)) and isinstance(inner, list):
            for n, item in enumerate(inner):
                if isinstance(item, dict):
                    yield from _stage_settings(nested, (*keys, name, str(n)), item)


def _stage(annotation: Any) -> str | None:
    """Return the stage of a parameter that is annotated `PROTOCOL` or `PROTOCOL | None`, or None."""
    one = (
        [part for part in get_args(annotation) if part is not type(None)] if _is_optional(annotation) else [annotation]
    )
    return _STAGE_OF.get(one[0]) if len(one) == 1 and isinstance(one[0], type) else None


def _is_optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _listed_record(annotation: Any) -> type | None:
    """Return the dataclass of a parameter that is annotated `Sequence[DATACLASS]` and has a stage in it, or None."""
    if get_origin(annotation) is not Sequence:
        return None
    (item,) = get_args(annotation)
    if not (isinstance(item, type) and dataclasses.is_dataclass(item)):
        return None
    return item if any(_stage(of_field) for of_field, _ in _parameters(item).values()) else None


def _listed_stage(annotation: Any) -> str | None:
    """Return the stage of a parameter that is annotated `Sequence[PROTOCOL | str]`, or None."""
    if get_origin(annotation) is not Sequence:
        return None
    (item,) = get_args(annotation)
    return next((_STAGE_OF[one] for one in get_args(item) or (item,) if one in _STAGE_OF), None)


def _reject_renamed(where: str, constructor: Callable[..., Any], settings: Spec) -> None:
    """Raise an error for a setting that the constructor lists in RENAMED, {old: new}; it gives the new name."""
    for name, new in getattr(constructor, "RENAMED", {}).items():
        if name in settings:
            raise ConfigError(f"{where}: {renamed(f'{name}:', new)}")


def _parameters(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Return {name: (annotation, default)} of the parameters of `function`; the default is ... if there is none."""
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    return {
        name: (hints.get(name, Any), ... if p.default is p.empty else p.default)
        for name, p in inspect.signature(function).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def check_settings(where: str, settings: Mapping[str, Any], parameters: Mapping[str, tuple[Any, Any]]) -> Spec:
    """Return `settings` converted to the annotated types of `parameters`.

    Raises:
        ConfigError: one is unknown, missing or of the wrong type."""
    for name in settings:
        if name not in parameters:
            raise ConfigError(unknown(f"setting of {where}:", name, parameters))
    # a prefix keeps names apart from pydantic's own (model_..., schema, json)
    model: type[BaseModel] = create_model(  # type: ignore[call-overload]
        "Settings",
        __config__=ConfigDict(arbitrary_types_allowed=True, protected_namespaces=()),
        **{f"s_{name}": parameter for name, parameter in parameters.items()},
    )
    try:
        checked = model(**{f"s_{name}": value for name, value in settings.items()})
    except ValidationError as error:
        raise ConfigError(explain(error, where, parameters).replace("`s_", "`")) from error
    return {name: getattr(checked, f"s_{name}") for name in settings}


def _as_kind(stage: str, spec: Spec) -> Spec:
    """Return the settings of a stage as its kind has them: an encoder may have the `servers:` of a recipe.

    Raises:
        ConfigError: they are no settings of a recipe's encoder."""
    if stage != "encoder" or "servers" not in spec:
        return spec
    try:
        settings = EncoderSettings(**spec)
    except ValidationError as error:
        raise ConfigError(explain(error, "encoder with `servers:`", EncoderSettings.model_fields)) from error
    return {"kind": kind_of(settings), **kind_settings(settings)}


def open_encoder(settings: EncoderSettings) -> Encoder:
    """Return the encoder that a recipe describes, of a kind of this or another package; nothing is loaded.

    It gets those of the recipe's settings that its constructor has.

    Raises:
        ConfigError: an unknown kind, or one that needs settings which a recipe does not have."""
    constructor = registry.resolve("encoder", kind_of(settings))
    parameters = _parameters(constructor)
    given = {name: value for name, value in kind_settings(settings).items() if name in parameters}
    if missing := [name for name, (_, default) in parameters.items() if default is ... and name not in given]:
        raise ConfigError(f"encoder kind '{settings.kind}': a recipe has no {', '.join(missing)}, which it needs")
    encoder: Encoder = constructor(**given)
    return encoder


def open_store(settings: Spec) -> VectorStore:
    """Return the store that settings with a `kind:` describe; nothing is opened.

    Raises:
        ConfigError: an unknown kind or setting, a missing one, or one of the wrong type."""
    kind = settings.get("kind")
    constructor = registry.resolve("store", kind)
    others = {name: value for name, value in settings.items() if name != "kind"}
    store: VectorStore = constructor(**check_settings(f"store kind '{kind}'", others, _parameters(constructor)))
    return store


def strategy_options(name: str, options: Mapping[str, Any]) -> tuple[Callable[..., Any], Spec]:
    """Return the strategy called `name` and its options, checked.

    Raises:
        ConfigError: no such strategy or option, or a value of the wrong type."""
    strategy = registry.resolve("strategy", name)
    parameters = _parameters(strategy)
    del parameters["query"], parameters["stages"]
    try:
        return strategy, check_settings(f"strategy '{name}'", options, parameters)
    except ConfigError as error:
        raise ConfigError(str(error), public=str(error)) from error
