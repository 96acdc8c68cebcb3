"""The running cluster with its images, a pod of the payloads' image, and small images to load and lose."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from kubernetes import client, config
from rich.console import Console

from local.cluster import Cluster
from local.cluster.health import find
from local.image import record, scratch
from local.image.build import Image
from local.progress import PlainReporter
from local.settings import LocalSettings
from local.up import shell
from tests.cluster.image.store import PROBE, containerd, images

NAMESPACE, POD = "default", "image-probe"


@pytest.fixture(scope="session")
def core(kubeconfig: Path) -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


@pytest.fixture(scope="session")
def references(core: client.CoreV1Api) -> dict[str, str]:
    """The images' names by digest, as the platform stack reads them."""
    return core.read_namespaced_config_map(record.NAME, record.NAMESPACE).data


@pytest.fixture(scope="module")
def host(
    core: client.CoreV1Api, references: dict[str, str], local_settings: LocalSettings, kubeconfig: Path
) -> Iterator[Any]:
    """A shell in a pod of the payloads' image, confined as the restricted pod security level wants it."""
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "shell",
        "image": references["ray"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-c", "exec sleep 3600"],
        "securityContext": confined,
        "resources": {"limits": {"memory": "3Gi"}, "requests": {"memory": "256Mi", "cpu": "50m"}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    _delete(core)
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": POD}, "spec": spec})
    deadline = time.monotonic() + 60
    while (phase := core.read_namespaced_pod(POD, NAMESPACE).status.phase) != "Running":
        assert time.monotonic() < deadline, f"the pod is {phase}"
        time.sleep(0.2)
    tools = str(shell.tools(local_settings).bin_dir)
    if tools not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"  # testinfra calls kubectl by its name
    yield testinfra.get_host(f"kubectl://{POD}?namespace={NAMESPACE}&kubeconfig={kubeconfig}")
    _delete(core)


def _delete(core: client.CoreV1Api) -> None:
    selector = f"metadata.name={POD}"
    core.delete_collection_namespaced_pod(NAMESPACE, field_selector=selector)
    while core.list_namespaced_pod(NAMESPACE, field_selector=selector).items:
        time.sleep(0.2)


@pytest.fixture
def cluster(kubeconfig: Path, local_settings: LocalSettings) -> Cluster:
    running = find(local_settings)
    assert running is not None
    return running


@pytest.fixture
def separate(local_settings: LocalSettings, tmp_path: Path) -> LocalSettings:
    """Settings whose record of loaded images and cache are not the user's."""
    (tmp_path / "state").mkdir()
    return local_settings.model_copy(update={"state_dir": tmp_path / "state", "cache_dir": tmp_path / "cache"})


@pytest.fixture
def reporter() -> PlainReporter:
    return PlainReporter(Console(quiet=True))


@pytest.fixture
def probe(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[[str], Image]]:
    """Makes tiny images that differ by their content; all of them are gone afterwards."""

    def make(content: str) -> Image:
        program = tmp_path / f"probe-{content}"
        program.write_text(content)
        return Image(PROBE, content, lambda folder, _: scratch.build(folder, program))

    yield make
    names = [name for name in images(cluster) if name.startswith(PROBE)]
    if names:
        containerd(cluster, "images", "rm", "--sync", *names)
