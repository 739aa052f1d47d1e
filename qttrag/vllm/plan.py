"""The vLLM servers that a deployment needs, with their commands."""

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
from qttrag.application import factory
from qttrag.config import yaml_files
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError

_LOCAL = ("127.0.0.1", "localhost", "0.0.0.0", "::1")  # noqa: S104  only compared
_INT4: Mapping[str, Any] = {"quantization": "bitsandbytes"}  # NF4, quantised while it loads
_INT4_SHARE = 0.3  # of the memory of weights in 16 bits: 4 bits each, and embeddings and norms unquantised
_WEIGHTS_GIB = 15.0  # of a model that the file does not name: about 8 billion parameters


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSettings(_Settings):
    """The settings of one model."""

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
class PlannedServer:
    """One server. `gpus`: the indexes of its GPUs, none on a CPU. `memory`: its share of their memory."""

    model: str
    base_url: str
    context: int
    weights_gib: float
    api_key_env: str
    int4: bool = False
    gpus: tuple[int, ...] = ()
    memory: float | None = None
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def port(self) -> int:
        return urlsplit(self.base_url).port or 80


def load(value: str = "vllm") -> VllmSettings:
    """Return the settings of a file, given as a path or as its name in `server/`.

    Raises:
        ConfigError: there is no such file, a key is unknown, or a value has the wrong type."""
    path = resources.find("server", value, what="vLLM settings")
    data = yaml_files.resolve_relative_paths(yaml_files.read_yaml(path), path.parent)
    try:
        return VllmSettings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(yaml_files.explain(error, str(path), VllmSettings.model_fields)) from error


def plan(deployment: Deployment, settings: VllmSettings, gpus: Sequence[int]) -> list[PlannedServer]:
    """Return the servers on this machine that the deployment's generators use.

    Each model goes to the GPU with the least weights so far; models on one GPU share its memory by weights.

    Raises:
        ConfigError: there are none, or two models have one address."""
    servers = _local_servers(deployment, settings)
    if not servers:
        raise ConfigError(
            "the deployment has no server on this machine: no `kind: openai` has a `base_url:` at 127.0.0.1; "
            "nothing to start"
        )
    return [
        replace(server, command=_command(server, settings), environment=_environment(server, settings))
        for server in _on_gpus(servers, settings, gpus)
    ]


def _local_servers(deployment: Deployment, settings: VllmSettings) -> list[PlannedServer]:
    servers: dict[str, PlannedServer] = {}
    for stage in factory.stage_settings(deployment):
        spec = stage.spec
        if stage.stage != "generator" or spec.get("kind") != "openai":
            continue
        urls = spec.get("base_url", [])
        for url in [urls] if isinstance(urls, str) else urls:
            if urlsplit(url).hostname not in _LOCAL:
                continue
            model = str(spec.get("model"))
            model_settings = settings.models.get(model, ModelSettings())
            context = int(spec.get("context", 8192))
            key = str(spec.get("api_key_env", "OPENAI_API_KEY"))
            int4 = spec.get("weights") == "int4"
            gib = model_settings.weights_gib * (_INT4_SHARE if int4 else 1)
            new = PlannedServer(model, url.rstrip("/"), context, gib, key, int4)
            old = servers.setdefault(new.base_url, new)
            if old.model != model:
                raise ConfigError(f"{url} is the address of both '{old.model}' and '{model}'; change a port")
            if old.int4 != int4:
                raise ConfigError(f"'{model}' at {url} has two kinds of `weights:`; choose one, or change a port")
            servers[new.base_url] = replace(old, context=max(old.context, context))
    return list(servers.values())


def _on_gpus(servers: Sequence[PlannedServer], settings: VllmSettings, gpus: Sequence[int]) -> list[PlannedServer]:
    if not gpus:
        return list(servers)
    load = dict.fromkeys(gpus, 0.0)
    gpu_of: dict[str, int] = {}
    for server in sorted(servers, key=lambda server: -server.weights_gib):
        gpu = min(load, key=lambda index: load[index])
        gpu_of[server.base_url] = gpu
        load[gpu] += server.weights_gib
    return [
        replace(
            server,
            gpus=(gpu_of[server.base_url],),
            memory=int(100 * settings.gpu_memory * server.weights_gib / load[gpu_of[server.base_url]]) / 100,
        )
        for server in servers
    ]


def _command(server: PlannedServer, settings: VllmSettings) -> tuple[str, ...]:
    address = urlsplit(server.base_url)
    flags: dict[str, Any] = {
        "host": address.hostname,
        "port": server.port,
        "served-model-name": server.model,
        "max-model-len": server.context,
        **({"gpu-memory-utilization": server.memory} if server.memory else {}),
        **settings.flags,
        **({} if server.gpus else settings.cpu.flags),
        **(_INT4 if server.int4 else {}),
        **settings.models.get(server.model, ModelSettings()).flags,
    }
    return (str(Path(settings.command).expanduser()), "serve", server.model, *_arguments(flags))


def _arguments(flags: Mapping[str, Any]) -> list[str]:
    arguments: list[str] = []
    for name, value in flags.items():
        if value is True:
            arguments.append(f"--{name}")
        elif value is False:
            arguments.append(f"--no-{name}")
        elif value is not None:
            arguments += [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return arguments


def _environment(server: PlannedServer, settings: VllmSettings) -> tuple[tuple[str, str], ...]:
    """Return the variables added to the environment, the API key among them: a command line is visible to others."""
    variables = dict(settings.environment)
    if server.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, server.gpus))
    else:
        variables |= settings.cpu.environment
    if key := os.environ.get(server.api_key_env):
        variables["VLLM_API_KEY"] = key
    return tuple(variables.items())
