"""Inside the pods of the model server: who runs, what listens, what the processes are told, which files are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import testinfra
from kubernetes import client

from local.settings import LocalSettings

NAMESPACE = "ray"


def pod(core: client.CoreV1Api, node_type: str) -> Any:
    selector = f"ray.io/node-type={node_type},manta/stack=serve-local"
    running = [item for item in core.list_namespaced_pod(NAMESPACE, label_selector=selector).items if is_ready(item)]
    assert running, f"no ready {node_type} pod of the model server"
    return running[0]


def is_ready(item: Any) -> bool:
    if item.metadata.deletion_timestamp:  # of a cluster that was replaced and drains
        return False
    return any(each.type == "Ready" and each.status == "True" for each in item.status.conditions or [])


@pytest.fixture(scope="module", params=["head", "worker"])
def host(request: pytest.FixtureRequest, core: client.CoreV1Api, kubeconfig: Path) -> Any:
    name = pod(core, request.param).metadata.name
    return testinfra.get_host(
        f"kubectl://{name}?namespace={NAMESPACE}&container=ray-{request.param}&kubeconfig={kubeconfig}"
    )


def test_ray_runs_as_an_ordinary_user(host: Any) -> None:
    assert host.check_output("id -u") == "1000"
    assert host.run("touch /opt/venv/probe").rc != 0, "the image's files must not be writable"


def test_the_payloads_are_importable_from_the_bundle(host: Any) -> None:
    bundle = host.file("/opt/manta/bundle/payloads.zip")
    assert bundle.exists
    found = host.check_output("python -c 'import payloads; print(payloads.__file__)'")
    assert found.startswith("/opt/manta/bundle/payloads.zip/")


def test_the_environment_is_what_the_platform_promises(host: Any) -> None:
    environment = dict(line.split("=", 1) for line in host.check_output("env").splitlines() if "=" in line)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_worker_register_timeout_seconds"] == "120"
    assert environment["MLFLOW_TRACKING_URI"].startswith("http://mlflow.")
    assert "@sha256:" in environment["MANTA_IMAGE"]
    assert 0 <= float(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) < 110


def test_no_service_account_token_is_mounted(host: Any) -> None:
    assert not host.file("/var/run/secrets/kubernetes.io/serviceaccount/token").exists


def test_the_dashboard_wants_the_token(core: client.CoreV1Api, kubeconfig: Path) -> None:
    name = pod(core, "head").metadata.name
    head = testinfra.get_host(f"kubectl://{name}?namespace={NAMESPACE}&container=ray-head&kubeconfig={kubeconfig}")
    ask = "wget -q -S -O /dev/null {} http://127.0.0.1:8265/api/jobs/ 2>&1 || true"
    assert " 401 " in head.check_output(ask.format(""))
    header = '--header="Authorization: Bearer $RAY_AUTH_TOKEN"'
    assert " 200 " in head.check_output(ask.format(header))


def test_every_pod_of_ours_keeps_the_restricted_level(core: client.CoreV1Api) -> None:
    for namespace in (NAMESPACE, "manta-system"):
        labels = core.read_namespace(namespace).metadata.labels
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        for item in core.list_namespaced_pod(namespace).items:
            for container in [*item.spec.containers, *(item.spec.init_containers or [])]:
                context = container.security_context
                where = f"{namespace}/{item.metadata.name}/{container.name}"
                assert context.allow_privilege_escalation is False, where
                assert context.capabilities.drop == ["ALL"], where
                assert "@sha256:" in container.image, where


def test_the_answer_over_http_is_json(local_settings: LocalSettings, main_job: Any) -> None:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{local_settings.ports.serve}/model", timeout=10) as response:
        card = json.load(response)
    assert card["model_name"] == "digits"
    assert card["classes"] == [str(digit) for digit in range(10)]
