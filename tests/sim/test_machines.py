"""What the real Karpenter launches, and when it ends it."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from local.sim.cloud import userdata
from local.sim.cloud.prices import Prices
from tests.sim import manifests
from tests.sim.conftest import PATIENCE_S, Sim
from tests.sim.manifests import NAME

LAUNCH_S = 45.0  # from a pending pod to an instance: 1.6 to 3 s on two idle cores, and CI has others beside it


def test_a_pending_gpu_pod_gets_the_cheapest_spot_instance_that_fits_with_all_that_its_class_says(empty: Sim) -> None:
    started = time.monotonic()
    empty.apply(manifests.workers("workers", 1))
    empty.eventually(empty.instances, "an instance is launched")
    assert time.monotonic() - started < LAUNCH_S
    empty.eventually(lambda: empty.pods("workers"), "the pod runs")
    (instance,) = empty.instances()

    prices = Prices.read(Path(empty.tools.entry / "share" / "karpenter" / "prices.go"))
    allowed = {f"{family}.{size}" for family in manifests.FAMILIES for size in manifests.SIZES}
    fitting = [name for name in prices.on_demand["us-east-1"] if name in allowed]
    cheapest = min((prices.spot("us-east-1", name, zone), name, zone) for name in fitting for zone in manifests.ZONES)
    assert (instance["InstanceType"], instance["Placement"]["AvailabilityZone"]) == cheapest[1:]
    assert instance["InstanceLifecycle"] == "spot"
    ec2 = empty.client("ec2")
    ours = [{"Name": "tag:karpenter.sh/discovery", "Values": [NAME]}]
    assert instance["SubnetId"] in {subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=ours)["Subnets"]}
    (group,) = ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
    assert [item["GroupId"] for item in instance["SecurityGroups"]] == [group["GroupId"]]
    assert instance["IamInstanceProfile"]["Arn"].endswith(f"/{NAME}-node")
    assert instance["ImageId"] == manifests.IMAGE
    assert (instance["MetadataOptions"]["HttpTokens"], instance["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        1,
    )
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["eks:eks-cluster-name"] == NAME
    assert tags["manta:environment"] == "sim"
    volumes = [mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]]
    (volume,) = ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
    assert (volume["Size"], volume["Encrypted"]) == (200, True)
    raw = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")["UserData"]["Value"]
    joining = userdata.decode(raw)
    assert {"key": manifests.GPU, "effect": "NoSchedule"}.items() <= joining.taints[0].items()
    assert joining.labels["karpenter.sh/nodepool"] == "gpu-spot"
    assert empty.settings.cluster.kubeconfig.read_text().count("127.0.0.1:") == 1
    assert f"https://127.0.0.1:{empty.settings.cluster.ports.api}" in base64.b64decode(raw).decode()


def test_an_interruption_drains_that_node_alone_and_nothing_is_launched_twice(empty: Sim) -> None:
    before = {instance["InstanceId"] for instance in empty.instances("running", "terminated")}
    empty.apply(manifests.workers("workers", 2))
    empty.eventually(lambda: len(empty.pods("workers")) == 2, "both pods run")
    spot = [instance for instance in empty.instances() if instance.get("InstanceLifecycle") == "spot"]
    victim, kept = spot[0]["InstanceId"], {i["InstanceId"] for i in empty.instances()} - {spot[0]["InstanceId"]}
    launched = {instance["InstanceId"] for instance in empty.instances("running", "terminated")} - before

    empty.control("/sim/interrupt", instance=victim, notice_s=120)
    empty.eventually(lambda: victim not in {i["InstanceId"] for i in empty.instances()}, "the machine is given back")
    empty.eventually(lambda: len(empty.pods("workers")) == 2, "both pods run again")
    running = {instance["InstanceId"] for instance in empty.instances()}
    assert kept < running, "a machine that was not announced was ended"
    after = {instance["InstanceId"] for instance in empty.instances("running", "terminated")} - before
    assert len(after - launched) == 1, "one machine is replaced by one"


def test_without_spot_capacity_it_falls_to_on_demand_at_once(empty: Sim) -> None:
    empty.control("/sim/capacity", shortages=[{"capacity_type": "spot", "instance_type": "g6.*"}])
    empty.apply(manifests.workers("workers", 1))
    (instance,) = empty.eventually(empty.instances, "an instance is launched")
    assert instance["InstanceLifecycle"] == "spot"
    assert not instance["InstanceType"].startswith("g6.")

    empty.control("/sim/capacity", shortages=[{"capacity_type": "spot"}])
    empty.apply(manifests.workers("workers", 2))
    empty.eventually(lambda: len(empty.pods("workers")) == 2, "both pods run")
    kinds = sorted(instance.get("InstanceLifecycle", "on-demand") for instance in empty.instances())
    assert kinds == ["on-demand", "spot"]


def test_at_the_gpu_limit_pods_wait_and_ops_says_why(empty: Sim) -> None:
    both = 2 * manifests.LIMIT
    empty.apply(manifests.workers("many", both + 1))
    empty.eventually(lambda: len(empty.pods("many")) >= manifests.LIMIT, "the first pool is full", 240)

    finding = empty.eventually(lambda: empty.diagnosed("many", "default").get("pool-limit"), "ops names the limit")
    assert "exceed limits for nodepool" in finding["said"]
    assert "manta:aws.capacity.gpu.limit" in finding["fix"]
    assert any(name.startswith("pod default/many-") for name in finding["things"])
    gpus = sum(int(node["status"]["capacity"].get(manifests.GPU, 0)) for node in empty.get("nodes"))
    assert gpus <= both


def test_an_idle_gpu_node_is_given_back_in_time_and_one_with_work_stays_though_it_drifted(empty: Sim) -> None:
    empty.apply(manifests.workers("idle", 2))
    empty.eventually(lambda: len(empty.pods("idle")) == 2, "both pods run")
    empty.apply(manifests.workers("idle", 1))
    working = empty.eventually(lambda: _the_one_left(empty), "one pod is left")
    empty.eventually(lambda: len(empty.instances()) == 1, "the idle node is gone", manifests.IDLE_S + PATIENCE_S)
    (instance,) = empty.instances()
    (node,) = [node for node in empty.get("nodes") if instance["InstanceId"] in node["spec"].get("providerID", "")]
    assert node["metadata"]["name"] == working

    # A changed pool makes the node differ from what a new one would be; while a run is on it that changes nothing.
    _label_pools(empty, '"manta/generation": "2"')
    try:
        empty.eventually(lambda: _drifted(empty, working), "the node has drifted")
        time.sleep(manifests.IDLE_S / 2)
        assert [item["InstanceId"] for item in empty.instances()] == [instance["InstanceId"]]
        assert [pod["spec"]["nodeName"] for pod in empty.pods("idle")] == [working]
    finally:
        _label_pools(empty, '"manta/generation": null')


def _label_pools(sim: Sim, label: str) -> None:
    patch = f'{{"spec": {{"template": {{"metadata": {{"labels": {{{label}}}}}}}}}}}'
    for pool in ("gpu-spot", "gpu-on-demand"):
        sim.kubectl("patch", "nodepool", pool, "--type=merge", f"--patch={patch}")


def _drifted(sim: Sim, node: str) -> bool:
    claims = [claim for claim in sim.get("nodeclaims") if claim["status"].get("nodeName") == node]
    conditions = [condition for claim in claims for condition in claim["status"].get("conditions", [])]
    return any((each["type"], each["status"]) == ("Drifted", "True") for each in conditions)


def _the_one_left(sim: Sim) -> str:
    pods = sim.pods("idle")
    return pods[0]["spec"]["nodeName"] if len(pods) == 1 else ""


def test_a_pod_that_does_not_tolerate_them_never_lands_on_a_gpu_node(empty: Sim) -> None:
    empty.apply(manifests.workers("workers", 1))
    empty.eventually(lambda: empty.pods("workers"), "the node is there")
    plain = manifests.workers("plain", 1, gpus=0, tolerant=False)
    plain["spec"]["template"]["spec"]["nodeSelector"] = {"karpenter.sh/nodepool": "gpu-spot"}
    empty.apply(plain)
    time.sleep(5)
    (pod,) = empty.get("pods", "-l", "app=plain")
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]


def test_once_there_is_spot_capacity_again_new_machines_are_spot(empty: Sim) -> None:
    empty.apply(manifests.workers("workers", 1))
    # Karpenter remembers for three minutes that there was none.
    (node,) = empty.eventually(lambda: _nodes_of_spot(empty), "spot is launched again", 300)
    (pod,) = empty.eventually(lambda: empty.pods("workers"), "the pod runs")
    assert pod["spec"]["nodeName"] == node["metadata"]["name"]


def _nodes_of_spot(sim: Sim) -> list[dict[str, Any]]:
    """Nodes that are spot instances; while there is none the pods are made to come back."""
    found = sim.get("nodes", "-l", "manta/nodes=gpu,karpenter.sh/capacity-type=spot")
    if not found:
        sim.kubectl("delete", "nodeclaims", "-l", "manta/nodes=gpu", "--wait=false")
        time.sleep(20)
    return found
