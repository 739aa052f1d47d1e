"""Which vLLM servers a deployment needs, and the command of each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qttrag import resources
from qttrag.application import factory as building
from qttrag.config import yaml_files
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError

_LOCAL = ("127.0.0.1", "localhost", "0.0.0.0", "::1")  # noqa: S104  compared with, not listened on
_WEIGHTS_GIB = 15.0  # of a model that the file does not name: some 8 billion parameters


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSettings(_Settings):
    """What is known of one model."""

    weights_gib: float = Field(default=_WEIGHTS_GIB, gt=0)
    kv_mib_per_1000_tokens: float | None = None
    licence: str = ""
    note: str = ""
    flags: dict[str, Any] = {}


class CpuSettings(_Settings):
    environment: dict[str, str] = {}
    flags: dict[str, Any] = {}


class VllmSettings(_Settings):
    """`server/vllm.yaml`."""

    command: str = "vllm"
    ready_s: float = Field(default=900.0, gt=0)
    gpu_memory: float = Field(default=0.9, gt=0, le=1)
    environment: dict[str, str] = {}
    flags: dict[str, Any] = {}
    cpu: CpuSettings = CpuSettings()
    models: dict[str, ModelSettings] = {}


@dataclass(frozen=True, slots=True)
class Planned:
    """One server. `gpus`: the indexes it sees, none on a CPU. `memory`: its share of each of them."""

    model: str
    base_url: str
    context: int
    weights_gib: float
    api_key_env: str
    gpus: tuple[int, ...] = ()
    memory: float | None = None
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def port(self) -> int:
        return urlsplit(self.base_url).port or 80


def load(value: str = "vllm") -> VllmSettings:
    """Return the settings in a file, or of that name in `server/`.

    Raises:
        ConfigError: no such file, an unknown key, a value of the wrong type."""
    path = resources.find("server", value, what="vLLM settings")
    data = yaml_files.resolve_relative_paths(yaml_files.read_yaml(path), path.parent)
    try:
        return VllmSettings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, str(path), VllmSettings.model_fields)) from error


def plan(deployment: Deployment, settings: VllmSettings, gpus: Sequence[int]) -> list[Planned]:
    """Return the servers on this machine that the deployment's generators are to be found at.

    Each model goes to the GPU with least on it; models that share one share its memory by weight.

    Raises:
        ConfigError: there are none, or two models are to be served at one address."""
    wanted = _wanted(deployment, settings)
    if not wanted:
        raise ConfigError(
            "the deployment asks no server on this machine: no `kind: openai` has a `base_url:` at 127.0.0.1; "
            "nothing to start"
        )
    return [
        replace(each, command=_command(each, settings), environment=_environment(each, settings))
        for each in _placed(wanted, settings, gpus)
    ]


def _wanted(deployment: Deployment, settings: VllmSettings) -> list[Planned]:
    found: dict[str, Planned] = {}
    for stage in building.placed(deployment):
        spec = stage.spec
        if stage.stage != "generator" or spec.get("kind") != "openai":
            continue
        urls = spec.get("base_url", [])
        for url in [urls] if isinstance(urls, str) else urls:
            if urlsplit(url).hostname not in _LOCAL:
                continue
            model = str(spec.get("model"))
            known = settings.models.get(model, ModelSettings())
            context = int(spec.get("context", 8192))
            key = str(spec.get("api_key_env", "OPENAI_API_KEY"))
            new = Planned(model, url.rstrip("/"), context, known.weights_gib, key)
            old = found.setdefault(new.base_url, new)
            if old.model != model:
                raise ConfigError(f"{url}: both '{old.model}' and '{model}' are to be served here; change a port")
            found[new.base_url] = replace(old, context=max(old.context, context))
    return list(found.values())


def _placed(wanted: Sequence[Planned], settings: VllmSettings, gpus: Sequence[int]) -> list[Planned]:
    if not gpus:
        return list(wanted)
    load = dict.fromkeys(gpus, 0.0)
    where: dict[str, int] = {}
    for each in sorted(wanted, key=lambda one: -one.weights_gib):
        gpu = min(load, key=lambda index: load[index])
        where[each.base_url] = gpu
        load[gpu] += each.weights_gib
    return [
        replace(
            each,
            gpus=(where[each.base_url],),
            memory=int(100 * settings.gpu_memory * each.weights_gib / load[where[each.base_url]]) / 100,
        )
        for each in wanted
    ]


def _command(planned: Planned, settings: VllmSettings) -> tuple[str, ...]:
    address = urlsplit(planned.base_url)
    flags: dict[str, Any] = {
        "host": address.hostname,
        "port": planned.port,
        "served-model-name": planned.model,
        "max-model-len": planned.context,
        **({"gpu-memory-utilization": planned.memory} if planned.memory else {}),
        **settings.flags,
        **({} if planned.gpus else settings.cpu.flags),
        **settings.models.get(planned.model, ModelSettings()).flags,
    }
    return (str(Path(settings.command).expanduser()), "serve", planned.model, *_arguments(flags))


def _arguments(flags: Mapping[str, Any]) -> list[str]:
    made: list[str] = []
    for name, value in flags.items():
        if value is True:
            made.append(f"--{name}")
        elif value is False:
            made.append(f"--no-{name}")
        elif value is not None:
            made += [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return made


def _environment(planned: Planned, settings: VllmSettings) -> tuple[tuple[str, str], ...]:
    """Return what goes over the environment; a key, which no command line may show, is among it."""
    over = dict(settings.environment)
    if planned.gpus:
        over["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, planned.gpus))
    else:
        over |= settings.cpu.environment
    if key := os.environ.get(planned.api_key_env):
        over["VLLM_API_KEY"] = key
    return tuple(over.items())
