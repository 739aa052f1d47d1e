"""What `qttrag index build --on` refuses, without Ray."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from qttrag.distributed.ray_encoders import EncodingWorker, encoders_on
from qttrag.errors import ConfigError, InputError
from qttrag.indexes.recipe import EncoderSettings


@pytest.mark.parametrize("cluster", ["spark", "ray://head:10001"])
def test_another_kind_of_cluster_is_refused(cluster: str) -> None:
    with pytest.raises(InputError, match=f"--on {cluster}: give ray, .*RAY_ADDRESS"), encoders_on(cluster):
        pass


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_error_names_the_extra() -> None:
    with pytest.raises(ConfigError, match=r"'ray'.*pip install 'qttrag\[ray\]'"), encoders_on("ray"):
        pass


def test_a_node_with_another_revision_of_the_model_is_refused(tiny: Path) -> None:
    settings = EncoderSettings(model=str(tiny / "encoder"), device="cpu").model_dump()
    with pytest.raises(ConfigError, match=r"is revision \w+ on a node and other here; copy the same files"):
        EncodingWorker(settings, "other")
