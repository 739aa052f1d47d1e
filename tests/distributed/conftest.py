"""A Ray cluster of three nodes on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    # by default, workers have a niceness of 15 and get next to nothing where other programs run
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def address(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The cluster, which `--on ray` then uses."""
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    return str(cluster.address)


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe of 3,000 passages in shards of 500, encoded by a tiny model."""
    import yaml

    from tests import deployment, tiny_models

    folder = tmp_path_factory.mktemp("recipe")
    tiny_models.make_encoder(folder / "encoder")
    path = deployment.write_recipe(folder, folder, n=3000)
    settings = {**yaml.safe_load(path.read_text()), "shard_rows": 500, "faiss": "Flat"}
    path.write_text(yaml.safe_dump(settings))
    return path
