"""The audit, and that destroying the platform leaves nothing. These run last: they take down what the others use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import Any

from tests.conftest import make
from tests.sim import manifests
from tests.sim.conftest import PULUMI_TIMEOUT_S, Sim
from tests.sim.manifests import NAME


def _audit(sim: Sim, environment: str = "sim") -> tuple[int, dict[str, Any]]:
    done = sim.run(sys.executable, "-m", "ops", "audit", environment, "--json")
    assert done.returncode in (0, 1, 3), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_audit_finds_what_is_there_and_what_karpenter_launched(empty: Sim) -> None:
    empty.apply(manifests.workers("workers", 1))
    (instance,) = empty.eventually(empty.instances, "an instance is launched")
    status, found = _audit(empty)
    assert status == 1
    kinds = {(item["service"], item["kind"]) for item in found["left"]}
    assert {("ec2", "VPC"), ("ec2", "subnet"), ("eks", "cluster"), ("sqs", "queue"), ("iam", "role")} <= kinds
    assert {("ec2", "network interface"), ("ec2", "volume"), ("ec2", "launch template"), ("events", "rule")} <= kinds
    assert {("kubernetes", "NodePool"), ("kubernetes", "NodeClaim")} <= kinds
    assert instance["InstanceId"] in {item["id"] for item in found["left"]}
    assert NAME in {item["name"] for item in found["left"]}
    assert found["unseen"] == []


def test_nothing_of_another_environment_is_taken_for_this_one(sim: Sim) -> None:
    queues = sim.client("sqs")
    other = queues.create_queue(QueueName="manta-simulator-x")["QueueUrl"]
    assert "manta-simulator-x" not in {item["name"] for item in _audit(sim)[1]["left"]}
    status, found = _audit(sim, "dev")
    assert [item for item in found["left"] if item["service"] != "kubernetes"] == []
    assert status in (0, 1)
    queues.delete_queue(QueueUrl=other)


def test_a_destroy_interrupted_half_way_and_run_again_leaves_nothing_though_pods_are_at_work(empty: Sim) -> None:
    empty.apply(manifests.workers("workers", 2))
    empty.eventually(lambda: len(empty.pods("workers")) == 2, "both pods run")
    command = ("pulumi", "--non-interactive", "--color", "never", "destroy", "--yes", "--skip-preview")
    interrupted = subprocess.Popen(
        [*command, "--stack", "platform-sim"],
        cwd=manifests.STACKS.parent,
        env=empty.of_stack("platform-sim"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PULUMI_TIMEOUT_S
    while empty.run("kubectl", "get", "nodepool", "gpu-spot").returncode == 0:
        assert time.monotonic() < deadline, "no pool was ever deleted"
        assert interrupted.poll() is None, interrupted.stdout and interrupted.stdout.read()
        time.sleep(0.2)
    interrupted.send_signal(signal.SIGINT)
    output, _ = interrupted.communicate(timeout=PULUMI_TIMEOUT_S)
    assert interrupted.returncode != 0, f"it ended before it was interrupted:\n{output}"
    assert _audit(empty)[0] == 1, "half of it is still there"

    again = empty.pulumi("destroy", "platform-sim", "--yes", "--skip-preview")
    assert again.returncode == 0, again.stdout + again.stderr
    empty.kubectl("delete", "deployment", "workers")
    status, found = _audit(empty)
    assert (found["left"], found["unseen"], status) == ([], [], 0)


def test_down_ends_the_account_and_all_that_it_ran_on(sim: Sim) -> None:
    make("down", "ENV=sim")
    assert not sim.settings.cluster.state_dir.exists()
    said = make("status", "ENV=sim", check=False)
    assert said.returncode != 0
    assert "The simulated AWS is not running" in said.stdout
    make("down", "ENV=sim")  # nothing to end is no error
