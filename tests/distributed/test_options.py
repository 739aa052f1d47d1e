"""What `--on` refuses, without Ray."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from qttrag.cli.cluster import check_workers
from qttrag.distributed.ray_answering import answering_on
from qttrag.distributed.ray_encoders import EncodingWorker, encoders_on
from qttrag.errors import ConfigError, InputError
from qttrag.indexes.recipe import EncoderSettings


def test_another_kind_of_cluster_is_refused() -> None:
    with pytest.raises(InputError, match=r"--on spark: give ray, .*RAY_ADDRESS"), encoders_on("spark"):
        pass


@pytest.mark.parametrize("on_command_line", [True, False])
def test_an_address_of_ray_client_is_refused_with_the_command_for_jobs(
    monkeypatch: pytest.MonkeyPatch, *, on_command_line: bool
) -> None:
    address = "ray://head:10001"
    if not on_command_line:
        monkeypatch.setenv("RAY_ADDRESS", address)
    refused = pytest.raises(InputError, match=r"'ray://head:10001' is an address of Ray Client.*ray job submit")
    with refused, answering_on(address if on_command_line else "ray"):
        pass


def test_workers_without_a_cluster_are_refused() -> None:
    with pytest.raises(InputError, match="--workers is the number of workers of --on"):
        check_workers(None, 2)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_error_names_the_extra() -> None:
    with pytest.raises(ConfigError, match=r"'ray'.*pip install 'qttrag\[ray\]'"), encoders_on("ray"):
        pass


def test_a_node_with_another_revision_of_the_model_is_refused(tiny: Path) -> None:
    settings = EncoderSettings(model=str(tiny / "encoder"), device="cpu").model_dump()
    with pytest.raises(ConfigError, match=r"is revision \w+ on a node and other here; copy the same files"):
        EncodingWorker(settings, "other")
