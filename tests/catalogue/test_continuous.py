"""Continuous training by the clock: a run each minute, one at a time, and nothing of it left afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from infra.ray.starter import ENDED
from infra.ray.wait import parse_result
from local.environment import CHECKOUT
from tests.catalogue.conftest import NAMESPACE, left
from tests.cluster.main_job.conftest import Stacks

STACK = "train-local-continuous"
_PATIENCE_S = 420.0


@pytest.fixture
def every_minute(deployed: Stacks, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The stack's outputs, with runs that start at every minute; destroyed when the block ends, as it stands then."""
    values = yaml.safe_load((CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    values["config"]["manta:schedule"] = "* * * * *"
    file = tmp_path / f"Pulumi.{STACK}.yaml"
    file.write_text(yaml.safe_dump(values))
    try:
        deployed.up(STACK, file)
        yield deployed.outputs(STACK)
    finally:
        deployed.destroy(STACK, file)
        deployed.remove(STACK)


def test_a_schedule_trains_on_what_is_new_then_finds_nothing_and_leaves_nothing(
    every_minute: dict[str, Any], kubeconfig: Path
) -> None:
    results: dict[str, Mapping[str, Any]] = {}

    def two_have_ended() -> bool:
        jobs = runs()
        assert sum(job.get("status", {}).get("jobDeploymentStatus") not in ENDED for job in jobs) <= 1
        for job in jobs:
            if job.get("status", {}).get("jobStatus") == "SUCCEEDED":
                results.setdefault(job["metadata"]["name"], result_of(job["metadata"]["name"]))
        return len(results) >= 2

    until(two_have_ended)
    first, second = (results[name] for name in sorted(results)[:2])
    assert first["outcome"] in ("registered", "nothing new"), "an earlier test may have trained on the sample"
    assert second["outcome"] == "nothing new"
    assert second["champion"] == (first["version"] if first["outcome"] == "registered" else first["champion"])


@pytest.fixture(autouse=True)
def nothing_left(deployed: Stacks) -> Iterator[None]:
    yield
    assert not {name for name in left("rayjobs") if name.startswith("continuous")}
    api = config.new_client_from_config(os.environ["KUBECONFIG"])
    selector = f"manta/stack={STACK}"
    assert not client.BatchV1Api(api).list_namespaced_cron_job(NAMESPACE, label_selector=selector).items
    assert not client.BatchV1Api(api).list_namespaced_job(NAMESPACE, label_selector=selector).items
    assert not client.RbacAuthorizationV1Api(api).list_namespaced_role(NAMESPACE, label_selector=selector).items


def runs() -> list[dict[str, Any]]:
    """RayJobs of the schedule, without their template."""
    api = client.CustomObjectsApi(config.new_client_from_config(os.environ["KUBECONFIG"]))
    listed: Any = api.list_namespaced_custom_object(
        "ray.io", "v1", NAMESPACE, "rayjobs", label_selector=f"manta/stack={STACK},manta/role!=template"
    )
    return listed["items"]


def result_of(name: str) -> Mapping[str, Any]:
    core = client.CoreV1Api(config.new_client_from_config(os.environ["KUBECONFIG"]))
    (pod, *_) = core.list_namespaced_pod(NAMESPACE, label_selector=f"job-name={name}").items
    log = core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE, _preload_content=False).data.decode()
    result = parse_result(log.splitlines())
    assert result is not None, log
    return result


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not done():
        assert time.monotonic() < deadline, [(job["metadata"]["name"], job.get("status")) for job in runs()]
        time.sleep(2)
