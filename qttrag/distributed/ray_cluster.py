"""The connection to a Ray cluster, and the start of workers on it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qttrag.errors import ConfigError, InputError, first_line, not_installed

_LOG = logging.getLogger(__name__)
_CLIENT = "ray://"
_PATIENCE_S = 30.0  # without a worker, before the log says what is missing


@contextmanager
def connected(cluster: str) -> Iterator[None]:
    """Connect to a cluster until the end of the block.

    `cluster`: "ray", the cluster of $RAY_ADDRESS, of which this machine is a node, or else one on this machine alone.

    Raises:
        InputError: the cluster is another, or not reached as a node. ConfigError: Ray is not installed, or the cluster
            cannot be reached."""
    _check(cluster)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError(not_installed(f"--on {cluster}", error, extra="ray")) from error
    local = {"include_dashboard": False} if "RAY_ADDRESS" not in os.environ else {}
    try:
        ray.init(log_to_driver=False, **local)
    except (ConnectionError, TimeoutError) as error:
        raise ConfigError(f"--on {cluster}: the cluster cannot be reached ({first_line(error)}); start it") from error
    try:
        yield
    finally:
        ray.shutdown()


def _check(cluster: str) -> None:
    for name, address in ((f"--on {cluster}", cluster), ("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", ""))):
        if address.startswith(_CLIENT):
            raise InputError(
                f"{name}: '{address}' is an address of Ray Client, which ends the work when its connection is lost; "
                "run the command on a node: ray job submit --address http://HEAD:8265 -- qttrag ... --on ray"
            )
    if cluster != "ray":
        raise InputError(f"--on {cluster}: give ray, and the cluster's address as RAY_ADDRESS=HOST:6379")


def has_gpus() -> bool:
    """Return whether the cluster has GPUs."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) > 0)


def start_workers(kind: type, *arguments: Any, count: int | None, gpus: bool, stage: str, retries: int) -> list[Any]:
    """Start actors of a class that has a method `ready`, on all nodes; return them when they are ready.

    `count`: None: one for each GPU of the cluster (`gpus`), or processor core. An actor that dies is started again, and
    its call is repeated up to `retries` times.

    Raises:
        ConfigError: the constructor of an actor failed; the message begins with `stage`."""
    import ray

    resource, options = ("GPU", {"num_gpus": 1}) if gpus else ("CPU", {"num_cpus": 1})
    placed = ray.remote(max_restarts=-1, max_task_retries=retries, scheduling_strategy="SPREAD", **options)
    worker: Any = placed(kind)
    count = count or int(ray.cluster_resources()[resource])
    workers = [worker.remote(*arguments) for _ in range(count)]
    try:
        _wait([each.ready.remote() for each in workers], resource)
    except ray.exceptions.RayError as error:
        raise ConfigError(f"{stage}: a worker of the cluster cannot load it: {cause(error)}") from error
    return workers


def start_on_this_node(kind: type, *arguments: Any) -> Any:
    """Start an actor that needs files of this machine, and is started again if it dies; return it."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    placed: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(kind)
    return placed.remote(*arguments)


def _wait(ready: list[Any], resource: str) -> None:
    """Wait for workers, and log why it takes long."""
    import ray

    waiting = ready
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=_PATIENCE_S)
        ray.get(done)
        if waiting:
            have = ray.cluster_resources().get(resource, 0)
            _LOG.warning(
                "waiting for %d of %d workers: they load models, or wait for a %s (the cluster has %d)",
                len(waiting), len(ready), resource, have,
            )  # fmt: skip


def cause(error: Exception) -> str:
    """Return the error in a worker in a line; Ray puts its traceback before it."""
    lines = [line.strip() for line in str(getattr(error, "cause", None) or error).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)
