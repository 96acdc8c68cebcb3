"""The audit, and that ending the pools ends the machines."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.sim import manifests
from tests.sim.by_hand import NAME
from tests.sim.conftest import Sim


def _audit(sim: Sim, environment: str = "sim") -> tuple[int, dict[str, Any]]:
    done = sim.run(sys.executable, "-m", "ops", "audit", environment, "--json")
    assert done.returncode in (0, 1, 2), done.stderr
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
    assert found["unseen"] == []


def test_nothing_of_another_environment_is_taken_for_this_one(sim: Sim) -> None:
    sim.client("sqs").create_queue(QueueName="manta-simulator-x")
    assert "manta-simulator-x" not in {item["name"] for item in _audit(sim)[1]["left"]}
    status, found = _audit(sim, "dev")
    assert [item for item in found["left"] if item["service"] != "kubernetes"] == []
    assert status in (0, 1)


def test_deleting_the_pools_leaves_no_machine_and_nothing_of_one(empty: Sim) -> None:
    empty.apply(manifests.workers("workers", 1))
    empty.eventually(lambda: empty.pods("workers"), "the pod runs")
    empty.kubectl("delete", "nodepools", "--all", "--timeout=90s")
    empty.kubectl("delete", "ec2nodeclasses", "--all", "--timeout=90s")
    left = _audit(empty)[1]["left"]
    machines = ("instance", "volume", "network interface", "launch template", "NodeClaim", "Node", "NodePool")
    assert [item for item in left if item["kind"] in machines] == []
    assert NAME in {item["name"] for item in left}, "the rest stays"
    for manifest in (manifests.node_class(), manifests.pool("spot", 50), manifests.pool("on-demand", 10)):
        empty.apply(manifest)
