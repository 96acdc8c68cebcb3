"""Every stack of the environment, as `make up ENV=sim` leaves them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.sim import flow
from tests.sim.conftest import Sim, runs
from tests.sim.manifests import FAMILIES, GPU, LIMIT

ROLE = "ray.io/node-type"


@pytest.mark.parametrize("stack", ["platform-sim", "train-sim", "serve-sim", "workbench-sim"])
def test_a_second_up_changes_nothing_and_a_refresh_finds_no_drift(sim: Sim, stack: str) -> None:
    assert stack in flow.standing_stacks()
    again = sim.pulumi("up", stack, "--yes", "--skip-preview", "--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    drift = sim.pulumi("refresh", stack, "--preview-only", "--expect-no-changes")
    assert drift.returncode == 0, drift.stdout + drift.stderr


def test_the_head_of_a_run_is_on_demand_and_its_workers_are_on_spot_machines_with_gpus(sim: Sim) -> None:
    sim.eventually(lambda: len(of_the_run(sim, "worker")) == 2, "both workers run")
    (head,) = sim.eventually(lambda: of_the_run(sim, "head"), "the head runs")
    assert labels_under(sim, head)["karpenter.sh/capacity-type"] == "on-demand"
    assert labels_under(sim, head)["manta/nodes"] == "cpu"
    for worker in of_the_run(sim, "worker"):
        below = labels_under(sim, worker)
        assert (below["karpenter.sh/nodepool"], below["karpenter.sh/capacity-type"]) == ("gpu-spot", "spot")
        assert below["karpenter.k8s.aws/instance-family"] in FAMILIES
        assert worker["spec"]["containers"][0]["resources"]["limits"][GPU] == "1"


def test_no_head_is_ever_placed_on_spot_and_every_other_pod_stays_off_the_gpus(sim: Sim) -> None:
    sim.eventually(lambda: of_the_service(sim), "the service's head runs")
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in sim.get("nodes")}
    placed = [pod for pod in sim.get("pods", "--all-namespaces") if runs(pod) and not of_every_node(pod)]
    heads = [pod for pod in placed if pod["metadata"].get("labels", {}).get(ROLE) == "head"]
    assert {pod["metadata"]["labels"]["manta/stack"] for pod in heads} == {"train-sim", "serve-sim", "workbench-sim"}
    for pod in placed:
        below = nodes[pod["spec"]["nodeName"]]
        asks = any(GPU in box.get("resources", {}).get("limits", {}) for box in pod["spec"]["containers"])
        assert asks == (below.get("manta/nodes") == "gpu"), pod["metadata"]["name"]
    for head in heads:
        assert nodes[head["spec"]["nodeName"]]["karpenter.sh/capacity-type"] == "on-demand"


def test_an_interruption_takes_the_workers_of_that_node_and_never_the_head(sim: Sim) -> None:
    sim.eventually(lambda: len(of_the_run(sim, "worker")) == 2, "both workers run")
    (head,) = of_the_run(sim, "head")
    others = {item["InstanceId"] for item in sim.instances(pools="cpu")}
    launched = {item["InstanceId"] for item in sim.instances("running", "terminated")}
    victim = of_the_run(sim, "worker")[0]["spec"]["nodeName"]
    (node,) = sim.get("nodes", victim)
    lost = {pod["metadata"]["name"] for pod in of_the_run(sim, "worker") if pod["spec"]["nodeName"] == victim}

    sim.control("/sim/interrupt", instance=node["spec"]["providerID"].rpartition("/")[2], notice_s=120)

    def replaced() -> bool:
        now = of_the_run(sim, "worker")
        return len(now) == 2 and not lost & {pod["metadata"]["name"] for pod in now}

    sim.eventually(replaced, "the workers run again, elsewhere", 240)
    (same,) = of_the_run(sim, "head")
    assert (same["metadata"]["uid"], same["spec"]["nodeName"]) == (head["metadata"]["uid"], head["spec"]["nodeName"])
    assert others <= {item["InstanceId"] for item in sim.instances(pools="cpu")}, "another machine was ended"
    new = {item["InstanceId"] for item in sim.instances("running", "terminated")} - launched
    assert len(new) == 1, "one machine is replaced by one"


def test_a_workbench_gets_workers_up_to_the_quota_of_gpus_and_ops_says_what_holds_back_the_others(sim: Sim) -> None:
    (before,) = sim.get("raycluster", "workbench", "--namespace=ray")
    (group,) = before["spec"]["workerGroupSpecs"]
    assert (before["spec"]["autoscalerOptions"]["version"], group["minReplicas"], group["maxReplicas"]) == ("v2", 0, 8)
    # What Ray's autoscaler writes when eight tasks ask for a GPU each; its sidecar runs no program here.
    wanted = [{"op": "replace", "path": "/spec/workerGroupSpecs/0/replicas", "value": group["maxReplicas"]}]
    sim.kubectl("patch", "raycluster/workbench", "--namespace=ray", "--type=json", f"--patch={json.dumps(wanted)}")
    room = LIMIT - len(of_the_run(sim, "worker"))
    sim.eventually(lambda: len(of_the_workbench(sim)) == room, f"{room} workers run")
    for worker in of_the_workbench(sim):
        assert labels_under(sim, worker)["karpenter.sh/capacity-type"] == "spot"
    finding = sim.eventually(lambda: sim.diagnosed("workbench").get("quota"), "the reason is found")
    assert finding["things"] == ["raycluster ray/workbench"]
    assert f"the limit is requests.{GPU}={LIMIT}" in finding["why"]


def test_a_platform_that_carries_runs_is_not_destroyed_and_names_them(sim: Sim) -> None:
    refused = sim.pulumi("destroy", "platform-sim", "--yes", "--skip-preview")
    assert refused.returncode != 0
    sentence = next(line for line in refused.stdout.splitlines() if "this platform still carries" in line)
    for stack in ("train-sim", "serve-sim", "workbench-sim"):
        assert f"pulumi destroy -s {stack}" in sentence
    assert "Traceback" not in refused.stdout
    assert sim.get("nodepools"), "something was deleted"


def of_the_workbench(sim: Sim) -> list[dict[str, Any]]:
    found = sim.get("pods", "--namespace=ray", "-l", f"{ROLE}=worker,manta/stack=workbench-sim")
    return [pod for pod in found if runs(pod)]


def of_every_node(pod: dict[str, Any]) -> bool:
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", []))


def of_the_run(sim: Sim, role: str) -> list[dict[str, Any]]:
    """The pods of train-sim's run, those that run."""
    selector = f"{ROLE}={role},manta/stack=train-sim,manta/run={sim.summary.outputs['train-sim']['run']}"
    return [pod for pod in sim.get("pods", "--namespace=ray", "-l", selector) if runs(pod)]


def of_the_service(sim: Sim) -> list[dict[str, Any]]:
    found = sim.get("pods", "--namespace=ray", "-l", f"{ROLE}=head,manta/stack=serve-sim")
    return [pod for pod in found if runs(pod)]


def labels_under(sim: Sim, pod: dict[str, Any]) -> dict[str, str]:
    (node,) = sim.get("nodes", pod["spec"]["nodeName"])
    return node["metadata"]["labels"]
