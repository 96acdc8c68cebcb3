"""A run that fails fails `make up`, with the reason in it; the next `make up` tries it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from tests.cluster.main_job.conftest import Run, Stacks
from tests.conftest import PROJECT, make


@pytest.fixture
def broken_run(deployed: Stacks, new_run: Callable[[str], Run]) -> Run:
    """A run whose payload refuses its parameters at once, and is not retried by KubeRay."""
    run = new_run("broken")
    stacks = PROJECT / "stacks"
    standing = yaml.safe_load((stacks / "Pulumi.train-local.yaml").read_text())
    standing["config"] |= {"manta:parameters": {"epochs": 0}, "manta:retries": 0}
    (stacks / f"Pulumi.{run.stack}.yaml").write_text(yaml.safe_dump(standing))
    return run


def test_a_run_that_fails_says_why_and_the_next_up_tries_it_again(broken_run: Run, kubeconfig: Path) -> None:
    first = make("up", f"RUN={broken_run.name}", check=False)
    assert first.returncode != 0
    assert "epochs: Input should be greater than or equal to 1" in first.stdout
    assert "the last lines of its log" in first.stdout
    assert "Traceback" not in first.stdout
    before = ray_job(kubeconfig, broken_run.stack)
    assert before["status"]["jobDeploymentStatus"] == "Failed"

    second = make("up", f"RUN={broken_run.name}", check=False)
    assert second.returncode != 0
    assert f"run {before['metadata']['name']} failed before" in second.stdout
    after = ray_job(kubeconfig, broken_run.stack)
    assert after["metadata"]["name"] == before["metadata"]["name"], "a resumed run finds its checkpoints by its name"
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def ray_job(kubeconfig: Path, stack: str) -> dict[str, Any]:
    """The only RayJob of `stack`."""
    api = client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))
    listed = api.list_namespaced_custom_object("ray.io", "v1", "ray", "rayjobs", label_selector=f"manta/stack={stack}")
    (job,) = listed["items"]
    return job
