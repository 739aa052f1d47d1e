"""The files for Kubernetes: valid by the API's schema, and of this product: its routes, metrics, settings, commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import codecs
from lightkube.models.core_v1 import PodTemplateSpec

from qttrag import resources
from qttrag.application.application import Application
from qttrag.application.store_addresses import store_at
from qttrag.config.deployment import load
from qttrag.server import create_app
from qttrag.server.admission import Admission
from qttrag.server.metrics import Metrics
from qttrag.stores.milvus import MilvusDatabase
from tests.server.cluster_files import CLUSTER, KUBERNETES, ROOT, assert_is_command, deployment_under, documents
from tests.server.cluster_files import resource as only
from tests.server.cluster_files import resources as resources_of
from tests.server.running import application

FOLDERS = [KUBERNETES, KUBERNETES / "builds"]
NODES = only(KUBERNETES, "Deployment")
POD = NODES["spec"]["template"]["spec"]
(NODE,) = POD["containers"]
RAY_JOB = only(KUBERNETES / "builds", "RayJob")
RAY_CLUSTER = RAY_JOB["spec"]["rayClusterSpec"]
RAY_PODS = [group["template"] for group in (RAY_CLUSTER["headGroupSpec"], *RAY_CLUSTER["workerGroupSpecs"])]
(ADAPTER,) = documents(KUBERNETES / "monitoring" / "adapter-rules.yaml")[0]["rules"]["custom"]
(POD_MONITOR,) = resources_of(KUBERNETES / "monitoring")


def routes() -> set[str]:
    return set(create_app(application=application()).openapi()["paths"])


@pytest.mark.parametrize(
    "document", [pytest.param(each, id=each["kind"]) for each in chain(*map(resources_of, FOLDERS)) if each != RAY_JOB]
)
def test_a_resource_has_the_fields_and_types_of_the_kubernetes_api(document: Any) -> None:
    typed: Any = codecs.from_dict(document)
    assert typed.to_dict() == document  # fields that do not exist are left out


@pytest.mark.parametrize("template", RAY_PODS)
def test_the_pods_of_the_ray_job_have_the_fields_and_types_of_the_kubernetes_api(template: Any) -> None:
    assert PodTemplateSpec.from_dict(template).to_dict() == template


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("folder", [*FOLDERS, KUBERNETES / "monitoring"], ids=lambda folder: folder.name)
def test_kustomize_renders_the_folder_with_images_from_a_registry(folder: Path) -> None:
    done = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True)
    images = re.findall(r"image: (\S+)", done.stdout)
    assert len(list(yaml.safe_load_all(done.stdout))) >= len(list(resources_of(folder)))
    assert all(image.startswith("registry.example.org/qttrag") for image in images)


def test_the_probes_ask_routes_of_the_service() -> None:
    probes = [NODE[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["path"] for probe in probes} == {"/readyz", "/livez"} <= routes()
    assert NODE["livenessProbe"]["httpGet"]["path"] == "/livez"  # a node without its models is not restarted
    assert {probe["port"] for probe in probes} == {"http"}


def test_the_nodes_listen_at_the_port_that_is_probed_and_served() -> None:
    (port,) = NODE["ports"]
    assert port == {"name": "http", "containerPort": load(CLUSTER).server.port}
    assert only(KUBERNETES, "Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert only(KUBERNETES, "NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"] == "http"
    assert POD_MONITOR["spec"]["podMetricsEndpoints"][0]["port"] == "http"


def test_all_selectors_are_those_of_the_nodes() -> None:
    labels = NODES["spec"]["template"]["metadata"]["labels"]
    assert NODES["spec"]["selector"]["matchLabels"] == labels
    assert only(KUBERNETES, "Service")["spec"]["selector"] == labels
    assert only(KUBERNETES, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert only(KUBERNETES, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    assert POD_MONITOR["spec"]["selector"]["matchLabels"] == labels
    assert POD["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == labels


def test_nodes_are_added_by_metrics_of_the_service() -> None:
    (metric,) = only(KUBERNETES, "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == ADAPTER["name"]["as"]
    used = set(re.findall(r"qttrag_\w+", ADAPTER["seriesQuery"] + ADAPTER["metricsQuery"]))
    exposed = set(re.findall(r"^qttrag_\w+", Metrics(Admission(16, 64)).text().decode(), re.MULTILINE))
    assert used == {"qttrag_requests_in_flight", "qttrag_requests_waiting"} <= exposed
    assert POD_MONITOR["spec"]["podMetricsEndpoints"][0]["path"] in routes()


def test_nodes_are_added_before_one_is_full() -> None:
    spec = only(KUBERNETES, "HorizontalPodAutoscaler")["spec"]
    target = int(spec["metrics"][0]["pods"]["target"]["averageValue"])
    assert spec["minReplicas"] >= 2
    assert target < load(CLUSTER).server.in_flight


def test_a_node_is_given_the_time_to_answer_what_it_has_begun() -> None:
    before = NODE["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert POD["terminationGracePeriodSeconds"] > before + load(CLUSTER).server.drain


def test_the_nodes_have_no_rights_that_they_do_not_need() -> None:
    assert POD["securityContext"]["runAsNonRoot"]
    assert POD["automountServiceAccountToken"] is False
    assert NODE["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in NODE["volumeMounts"] if not mount.get("readOnly")} == {
        "/home/qttrag",  # $QTTRAG_HOME of the image
        "/tmp",
    }
    assert "ENV QTTRAG_HOME=/home/qttrag" in (ROOT / "server" / "Dockerfile").read_text(encoding="utf-8")


def test_the_nodes_serve_the_deployment_of_the_config_map() -> None:
    assert_is_command(NODE["args"])
    (volume,) = [each for each in POD["volumes"] if "configMap" in each]
    (kustomization,) = documents(KUBERNETES / "kustomization.yaml")
    (generated,) = kustomization["configMapGenerator"]
    (mount,) = [each for each in NODE["volumeMounts"] if each["name"] == volume["name"]]
    assert (generated["name"], generated["files"]) == (volume["configMap"]["name"], [CLUSTER.name])
    assert f"{mount['mountPath']}/{CLUSTER.name}" in NODE["args"]


def test_the_deployment_of_the_nodes_is_valid() -> None:
    Application.open(load(CLUSTER))  # checks each setting against its constructor


def test_the_secret_sets_keys_cache_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "redis://:sesame@redis:6379/0"
    environment = {variable["name"]: url for variable in NODE["env"]}
    deployment = deployment_under(environment, monkeypatch)
    assert (deployment.cache.url, deployment.server.limits) == (url, url)
    assert deployment.server.api_keys_env in environment
    (collection, *_) = deployment.retriever["collections"]
    database = store_at(f"milvus:{collection['url'].removeprefix('http:')}", "wiki-en").database
    assert isinstance(database, MilvusDatabase)
    assert "MILVUS_TOKEN" in environment


def test_the_ports_of_the_deployment_may_be_reached() -> None:
    text = CLUSTER.read_text(encoding="utf-8")
    needed = {int(port) for port in re.findall(r"//\w+:(\d+)", text)}
    (inside, *_) = only(KUBERNETES, "NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for port in inside["ports"]} == needed


def test_the_ray_job_builds_a_recipe_into_the_store_of_the_nodes() -> None:
    program, *words = shlex.split(RAY_JOB["spec"]["entrypoint"])
    assert program == "qttrag"
    assert_is_command(words)
    name, address = words[2], words[words.index("--store") + 1]
    assert resources.find("indexes", name, what="recipe").is_file()
    assert f'{name}, url: "http:{address.removeprefix("milvus:")}"' in CLUSTER.read_text(encoding="utf-8")


def test_the_ray_job_runs_the_pinned_ray_with_the_extras_of_the_package() -> None:
    (pinned,) = re.findall(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    image = (KUBERNETES / "builds" / "Dockerfile").read_text(encoding="utf-8")
    assert RAY_CLUSTER["rayVersion"] == pinned
    assert f"FROM rayproject/ray:{pinned}-py311" in image
    assert ".[models,milvus,ray]" in image


def test_the_journal_of_the_build_outlives_the_cluster() -> None:
    head = RAY_CLUSTER["headGroupSpec"]["template"]["spec"]
    (container,), (volume,) = head["containers"], head["volumes"]
    home = next(variable["value"] for variable in container["env"] if variable["name"] == "QTTRAG_HOME")
    claim = only(KUBERNETES / "builds", "PersistentVolumeClaim")["metadata"]["name"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim
    assert {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]} == {volume["name"]: home}
