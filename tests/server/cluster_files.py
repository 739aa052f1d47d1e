"""The files that run several nodes: server/kubernetes and server/nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from qttrag.cli import app
from qttrag.config.deployment import Deployment, load
from qttrag.config.server_settings import ServerSettings

ROOT = Path(__file__).parent.parent.parent
KUBERNETES = ROOT / "server" / "kubernetes"
NODES = ROOT / "server" / "nodes"
CLUSTER = KUBERNETES / "cluster.yaml"
_SERVER_KEYS = {ServerSettings().api_keys_env, ServerSettings().write_keys_env}


def documents(file: Path) -> list[Any]:
    """Return the YAML documents in a file."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def resources(folder: Path) -> Iterator[Any]:
    """Yield the documents of all resources that a kustomization names."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    for name in kustomization["resources"]:
        yield from documents(folder / name)


def resource(folder: Path, kind: str) -> Any:
    """Return the only resource of a kind."""
    (found,) = [each for each in resources(folder) if each["kind"] == kind]
    return found


def deployment_under(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Return the deployment of the nodes in an environment, and check that each of its QTTRAG_ variables is read."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        setting = name.removeprefix("QTTRAG_").lower().split("__")[0]
        assert not name.startswith("QTTRAG_") or name in _SERVER_KEYS or setting in Deployment.model_fields, name
    return load(CLUSTER)


def assert_is_command(words: list[str]) -> None:
    """Check that `qttrag WORDS` is a command with these options."""
    done = CliRunner().invoke(app, [*words, "--help"])  # options are parsed before --help acts
    assert done.exit_code == 0, done.output
