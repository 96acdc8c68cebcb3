"""Continuous training by the clock: a run each minute, one at a time, and nothing of it left afterwards."""

from __future__ import annotations

import os
import secrets
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
Up = Callable[[int], dict[str, Any]]


@pytest.fixture
def up(deployed: Stacks, tmp_path: Path) -> Iterator[Up]:
    """Bring the stack up with so many days of the sample and a run each minute, and give its outputs.

    What a champion has seen outlives the stack: the model and its data have names of their own.
    """
    values = yaml.safe_load((CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    name, file = f"continuous-{secrets.token_hex(3)}", tmp_path / f"Pulumi.{STACK}.yaml"

    def bring_up(days: int) -> dict[str, Any]:
        parameters = {**values["config"]["manta:parameters"], "model_name": name, "dataset": name, "sample_days": days}
        changes = {"manta:schedule": "* * * * *", "manta:parameters": parameters}
        file.write_text(yaml.safe_dump({"config": {**values["config"], **changes}}))
        deployed.up(STACK, file)
        return deployed.outputs(STACK)

    try:
        yield bring_up
    finally:
        deployed.destroy(STACK, file)
        deployed.remove(STACK)
        assert_nothing_is_left()


def test_a_schedule_trains_on_what_is_new_from_the_champion_and_leaves_nothing(up: Up) -> None:
    assert up(4)["schedule"] == "continuous-schedule"
    first = ended(lambda result: "start" in result)
    assert (first["outcome"], first["start"]) == ("registered", "cold"), first["reason"]
    up(5)
    later = ended(lambda result: result["partitions"]["new"] == ["day=2026-01-05"])
    assert (later["start"], later["champion"], later["partitions"]["known"]) == ("warm", first["version"], 4)
    assert later["outcome"] in ("registered", "discarded")
    assert later["reason"]


def ended(wanted: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
    """The result of the first run that is wanted; never do two go on at once, and none ends badly."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        jobs = runs()
        assert sum(status(job).get("jobDeploymentStatus") not in ENDED for job in jobs) <= 1, jobs
        assert not [job["metadata"]["name"] for job in jobs if status(job).get("jobDeploymentStatus") == "Failed"]
        for job in jobs:
            if status(job).get("jobStatus") == "SUCCEEDED" and wanted(result := result_of(job["metadata"]["name"])):
                return result
        time.sleep(2)
    raise AssertionError([(job["metadata"]["name"], status(job)) for job in runs()])


def status(job: Mapping[str, Any]) -> Mapping[str, Any]:
    return job.get("status") or {}


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
    log: Any = core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE, _preload_content=False)
    result = parse_result(log.data.decode().splitlines())
    assert result is not None, log.data.decode()
    return result


def assert_nothing_is_left() -> None:
    assert not {name for name in left("rayjobs") | left("rayclusters") if name.startswith("continuous")}
    api = config.new_client_from_config(os.environ["KUBECONFIG"])
    selector = f"manta/stack={STACK}"
    assert not client.BatchV1Api(api).list_namespaced_cron_job(NAMESPACE, label_selector=selector).items
    assert not client.BatchV1Api(api).list_namespaced_job(NAMESPACE, label_selector=selector).items
    assert not client.RbacAuthorizationV1Api(api).list_namespaced_role(NAMESPACE, label_selector=selector).items
