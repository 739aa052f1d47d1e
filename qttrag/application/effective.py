"""The settings of a deployment with the defaults of its kinds and strategies, so that two can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qttrag.application import registry
from qttrag.application.factory import settings_of, stage_settings, strategy_options
from qttrag.config.deployment import Deployment
from qttrag.config.yaml_files import hide_secrets

_WITHOUT_EFFECT = {"cache", "server", "examples"}  # on an answer


def effective(deployment: Deployment) -> dict[str, Any]:
    """Return all settings that answers may depend on, nested as in the file; of strategies, all that are registered.

    Raises:
        ConfigError: an unknown kind or option, or a library that a kind needs is not installed."""
    data = hide_secrets(deployment.model_dump(mode="json", exclude=_WITHOUT_EFFECT))
    for stage in stage_settings(deployment):
        place = data
        for key in stage.keys:
            place = place[int(key)] if isinstance(place, list) else place[key]
        for setting in settings_of(registry.resolve(stage.stage, stage.spec.get("kind"))):
            if not setting.required:
                place.setdefault(setting.name, setting.default)
    names = sorted({*registry.kinds("strategy"), *deployment.strategies})
    data["strategies"] = {name: options_of(name, deployment.strategies.get(name, {})) for name in names}
    return dict(data)


def options_of(strategy: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a strategy with its defaults."""
    function, given = strategy_options(strategy, options)
    defaults = {setting.name: setting.default for setting in settings_of(function)}
    return {**{name: value for name, value in defaults.items() if name not in ("query", "stages")}, **given}


def flat(settings: Any, place: str = "") -> dict[str, Any]:
    """Return nested settings by dotted names ("translator.unit"); a list of settings by numbers, other lists whole."""
    if isinstance(settings, dict) and settings:
        items = settings.items()
    elif isinstance(settings, list) and settings and all(isinstance(each, dict) for each in settings):
        items = {str(number): each for number, each in enumerate(settings)}.items()
    else:
        return {place: settings} if place else {}
    return {
        name: value
        for key, inner in items
        for name, value in flat(inner, f"{place}.{key}" if place else str(key)).items()
    }
