"""The files for two nodes behind one address: the compose file, the proxy, Prometheus."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from qttrag.config.deployment import load
from qttrag.server import create_app
from tests.server.cluster_files import CLUSTER, NODES, ROOT, assert_is_command, deployment_under, documents
from tests.server.running import application

(COMPOSE,) = documents(NODES / "compose.yaml")
SERVICES: dict[str, Any] = COMPOSE["services"]
NODE = SERVICES["qttrag-1"]
PROXY = (NODES / "haproxy.cfg").read_text(encoding="utf-8")
(PROMETHEUS,) = documents(NODES / "prometheus.yaml")
TARGETS = [
    target for job in PROMETHEUS["scrape_configs"] for static in job["static_configs"] for target in static["targets"]
]


def volumes_of(service: Any) -> list[str]:
    return [volume.split(":")[0] for volume in service.get("volumes", [])]


def test_the_nodes_are_equal() -> None:
    assert SERVICES["qttrag-2"] == NODE


def test_the_nodes_serve_the_deployment_of_the_cluster() -> None:
    assert_is_command(NODE["command"])
    inside = NODE["command"][NODE["command"].index("--config") + 1]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in NODE["volumes"]}
    assert (NODES / mounted[inside]).resolve() == CLUSTER


def test_the_environment_sets_keys_cache_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {name: re.sub(r"\$\{\w+[^}]*\}", "sesame", value) for name, value in NODE["environment"].items()}
    deployment = deployment_under(environment, monkeypatch)
    assert deployment.cache.url == deployment.server.limits == "redis://:sesame@redis:6379/0"
    assert environment[deployment.server.api_keys_env] == "sesame"
    assert environment["MILVUS_TOKEN"] == f"root:{'sesame'}"
    assert SERVICES["milvus"]["environment"]["COMMON_SECURITY_DEFAULTROOTPASSWORD"] == "${MILVUS_PASSWORD}"


def test_the_image_has_the_extras_that_the_deployment_needs() -> None:
    extras = NODE["build"]["args"]["EXTRAS"].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"models", "server", "milvus", "redis"} <= set(extras) <= set(known)
    assert ".[${EXTRAS}]" in (ROOT / NODE["build"]["dockerfile"]).read_text(encoding="utf-8")


def test_every_address_in_the_deployment_is_a_service() -> None:
    hosts = set(re.findall(r"//([\w-]+):\d+", CLUSTER.read_text(encoding="utf-8")))
    assert hosts == {"redis", "milvus", "generator", "tagger"} <= set(SERVICES)


def test_the_redis_server_has_a_password_and_deletes_what_was_used_least_recently() -> None:
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--requirepass"] == "${REDIS_PASSWORD}"
    assert options["--maxmemory-policy"] == "allkeys-lru"
    assert "--maxmemory" in options


@pytest.mark.parametrize("service", SERVICES)
def test_all_that_a_service_names_is_defined(service: str) -> None:
    settings = SERVICES[service]
    if extended := settings.get("extends"):
        (base,) = documents(NODES / extended["file"])
        settings = {**base["services"][extended["service"]], **settings}
    assert set(settings["networks"]) <= set(COMPOSE["networks"])
    assert {config["source"] for config in settings.get("configs", [])} <= set(COMPOSE["configs"])
    named = {volume for volume in volumes_of(settings) if not volume.startswith(".")}
    assert named <= set(COMPOSE["volumes"])
    assert set(settings.get("depends_on", [])) <= set(SERVICES)
    assert not [port for port in settings.get("ports", []) if not port.startswith("127.0.0.1:")]


@pytest.mark.parametrize("service", [name for name, settings in SERVICES.items() if "extends" not in settings])
def test_the_files_that_a_service_mounts_exist(service: str) -> None:
    files = [volume for volume in volumes_of(SERVICES[service]) if volume.startswith(".")]
    assert [file for file in files if not (NODES / file).is_file()] == []


def test_the_proxy_checks_a_route_of_the_service() -> None:
    (path,) = re.findall(r"option httpchk GET (\S+)", PROXY)
    assert path in create_app(application=application()).openapi()["paths"]


def test_the_proxy_repeats_no_request_that_changes_something() -> None:
    (line,) = re.findall(r"disable-l7-retry if \{ path_beg (.*) \}", PROXY)
    paths = create_app(application=application()).openapi()["paths"]
    changing = ["/v1/collections/{name}/documents", "/v1/feedback"]
    assert all(path.startswith(tuple(line.split())) for path in changing)
    assert {"/v1/ask", "/v1/chat/completions"} <= {path for path in paths if not path.startswith(tuple(line.split()))}


def test_the_proxy_waits_longer_than_a_question_may_take() -> None:
    (seconds,) = re.findall(r"timeout server (\d+)s", PROXY)
    assert int(seconds) > load(CLUSTER).server.deadline


def test_nodes_are_served_and_scraped_at_their_port() -> None:
    port = load(CLUSTER).server.port
    nodes = {f"qttrag-1:{port}", f"qttrag-2:{port}"}
    assert set(re.findall(r"^  server \w+ (\S+)", PROXY, re.MULTILINE)) == nodes
    assert nodes <= set(TARGETS)
    assert {target.split(":")[0] for target in TARGETS} <= set(SERVICES)


def test_a_node_has_the_time_to_answer_what_it_has_begun() -> None:
    assert int(NODE["stop_grace_period"].removesuffix("s")) > load(CLUSTER).server.drain
