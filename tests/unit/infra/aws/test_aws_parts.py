"""The pure parts of infra.aws: addresses, the capacity ladder, machines, policies, the kubeconfig."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from infra.aws import gpu, interruptions, karpenter_policy, ladder, node_classes
from infra.aws.access import ray_statements
from infra.aws.addresses import cut
from infra.aws.cluster import kubeconfig
from infra.aws.naming import Place
from infra.aws.placement import placements
from infra.aws.policies import document, pod_trust, tls_only
from infra.errors import SettingsError
from infra.settings.aws_capacity import AmiSettings, CapacitySettings, PluginSettings
from infra.settings.aws_network import NetworkSettings
from local.engine.aws.schema import policy_fault

PLACE = Place("sim", "123456789012", "us-east-1", "manta")
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
RESERVATION = {"id": "cr-0123456789abcdef0", "zone": "us-east-1b", "instanceType": "p5.48xlarge"}


def capacity(**gpu: Any) -> CapacitySettings:
    return CapacitySettings.model_validate(
        {"ami": {"alias": "al2023@v20261016"}, "gpu": {"families": ["g5", "g6"], "limit": 8, **gpu}}
    )


def pools(settings: CapacitySettings) -> dict[str, dict[str, Any]]:
    return {rung.name: ladder.node_pool(rung, ZONES, settings) for rung in ladder.rungs(settings)}


def wanted(pool: dict[str, Any], key: str) -> list[str]:
    for item in pool["spec"]["template"]["spec"]["requirements"]:
        if item["key"] == key:
            return item["values"]
    return []


@pytest.mark.parametrize("zones", [2, 3])
@pytest.mark.parametrize("cidr", ["10.40.0.0/16", "10.40.0.0/17", "172.16.0.0/18"])
def test_subnets_lie_in_the_range_and_apart(zones: int, cidr: str) -> None:
    settings = NetworkSettings.model_validate({"cidr": cidr, "zones": ZONES[:zones], "podCidr": "100.64.0.0/16"})
    found = cut(settings)
    inside = [ipaddress.ip_network(text) for text in (*found.private, *found.public)]
    assert len(inside) == 2 * zones
    assert all(network.subnet_of(ipaddress.ip_network(cidr)) for network in inside)  # type: ignore[arg-type]
    assert not any(a.overlaps(b) for number, a in enumerate(inside) for b in inside[:number])
    assert len(found.pods) == zones


def test_a_third_zone_moves_no_subnet() -> None:
    two, three = (cut(NetworkSettings.model_validate({"zones": ZONES[:count]})) for count in (2, 3))
    assert three.private[:2] == two.private
    assert three.public[:2] == two.public


def test_the_ladder_goes_from_reserved_over_spot_to_on_demand() -> None:
    found = pools(capacity(reservations=[RESERVATION], zones=ZONES))
    assert list(found) == ["gpu-reserved", "gpu-spot", "gpu-on-demand", "cpu"]
    weights = [pool["spec"]["weight"] for pool in found.values()]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == len(weights), "of two equal ones Karpenter takes either"
    assert [wanted(pool, ladder.CAPACITY_TYPE) for pool in found.values()] == [
        ["reserved"],
        ["spot"],
        ["on-demand"],
        ["on-demand"],
    ]


def test_a_rung_that_is_switched_off_is_not_there() -> None:
    assert list(pools(capacity(spot=False))) == ["gpu-on-demand", "cpu"]
    assert list(pools(capacity(onDemand=False))) == ["gpu-spot", "cpu"]


def test_every_rung_has_its_own_machines_and_not_a_copy() -> None:
    """A rung that was copied from another and kept its machine type launches what nobody asked for."""
    found = pools(capacity(reservations=[RESERVATION]))
    assert wanted(found["gpu-reserved"], ladder.FAMILY) == ["p5"]
    assert wanted(found["gpu-reserved"], ladder.ZONE) == ["us-east-1b"]
    assert wanted(found["gpu-spot"], ladder.FAMILY) == ["g5", "g6"]
    assert "g5" not in wanted(found["cpu"], ladder.FAMILY)
    assert [pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] for pool in found.values()] == [
        "gpu-reserved",
        "gpu",
        "gpu",
        "cpu",
    ]


def test_every_gpu_pool_is_tainted_and_every_pool_limited() -> None:
    for name, pool in pools(capacity(reservations=[RESERVATION])).items():
        spec = pool["spec"]
        assert spec["limits"], name
        if name.startswith("gpu"):
            assert ladder.GPU_TAINT in spec["template"]["spec"]["taints"]
            assert spec["limits"] == {"nvidia.com/gpu": "8"}
        else:
            assert "taints" not in spec["template"]["spec"]


def test_nothing_but_emptiness_ends_a_gpu_node_with_a_run() -> None:
    for name, pool in pools(capacity(reservations=[RESERVATION])).items():
        disruption = pool["spec"]["disruption"]
        assert disruption["consolidationPolicy"] == "WhenEmpty"
        if name.startswith("gpu"):
            busy = [budget for budget in disruption["budgets"] if "Drifted" in budget["reasons"]]
            assert [budget["nodes"] for budget in busy] == ["0"]
            assert pool["spec"]["template"]["spec"]["expireAfter"] == "Never"


def test_the_grace_of_a_spot_node_is_the_notice() -> None:
    found = pools(capacity())
    assert found["gpu-spot"]["spec"]["template"]["spec"]["terminationGracePeriod"] == "120s"
    assert "terminationGracePeriod" not in found["cpu"]["spec"]["template"]["spec"], "it would drain heads"


def test_heads_stay_and_workers_do_not_pretend_to() -> None:
    found = placements()
    assert found.head.annotations == {"karpenter.sh/do-not-disrupt": "true"}
    assert found.head.node_selector[ladder.CAPACITY_TYPE] == "on-demand"
    assert not found.head.tolerations, "a head must not land on a GPU node"
    assert not found.gpu.annotations
    assert not found.cpu.tolerations


@pytest.mark.parametrize("name", ["gpu", "cpu"])
def test_a_launched_machine_is_closed_encrypted_and_told_by_its_tags(name: str) -> None:
    spec = node_classes.node_class(name, PLACE, capacity(), "manta-sim-node", PLACE.tags)["spec"]
    assert spec["metadataOptions"]["httpTokens"] == "required"
    assert spec["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert all(disk["ebs"]["encrypted"] for disk in spec["blockDeviceMappings"])
    assert spec["amiSelectorTerms"] == [{"alias": "al2023@v20261016"}], "an image that moves is none that was tested"
    assert spec["tags"]["manta:environment"] == "sim"
    assert spec["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "manta-sim"}}]
    assert "role" not in spec, "Karpenter would make profiles of its own and leave them"


@pytest.mark.parametrize(
    ("ami", "needed"),
    [
        ({"alias": "al2023@v20261016"}, True),
        ({"alias": "bottlerocket@v1.50.0", "family": "Bottlerocket"}, False),
    ],
)
def test_the_device_plugin_is_brought_where_the_image_has_none(ami: dict[str, str], needed: bool) -> None:
    assert gpu.needs_plugin(capacity().model_copy(update={"ami": AmiSettings.model_validate(ami)})) == needed


def test_the_device_plugin_runs_on_every_gpu_node_and_on_no_other() -> None:
    pod = gpu.plugin_manifest(PluginSettings())["spec"]["template"]["spec"]
    labels = pools(capacity())["gpu-spot"]["spec"]["template"]["metadata"]["labels"]
    assert pod["nodeSelector"].items() <= labels.items()
    assert [(item["key"], item["effect"]) for item in pod["tolerations"]] == [("nvidia.com/gpu", "NoSchedule")]
    (container,) = pod["containers"]
    assert container["image"] == "nvcr.io/nvidia/k8s-device-plugin:v0.18.2"
    assert [item["name"] for item in container["env"]] == ["FAIL_ON_INIT_ERROR"]
    assert [item["name"] for item in pod["volumes"]] == ["sockets"]


def test_sharing_and_health_of_gpus_are_settings_of_the_plugin() -> None:
    settings = PluginSettings(sharing=4, health=False)
    pod = gpu.plugin_manifest(settings)["spec"]["template"]["spec"]
    said = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
    assert said["DP_DISABLE_HEALTHCHECKS"] == "all"
    folder, _, name = said["CONFIG_FILE"].rpartition("/")
    assert folder in {item["mountPath"] for item in pod["containers"][0]["volumeMounts"]}
    written = json.loads(gpu.config_manifest(settings)["data"][name])
    assert written["sharing"]["timeSlicing"]["resources"] == [{"name": "nvidia.com/gpu", "replicas": 4}]


def statements() -> list[dict[str, Any]]:
    return karpenter_policy.statements(
        PLACE,
        PLACE.arn("sqs", "q"),
        PLACE.iam_arn("role/manta-sim-node"),
        PLACE.iam_arn("instance-profile/manta-sim-node"),
        ["cr-0123456789abcdef0"],
    )


def test_karpenter_changes_nothing_that_is_not_bound() -> None:
    for statement in statements():
        reads = all(
            action.split(":")[1].startswith(("Describe", "Get", "List", "Receive")) for action in statement["Action"]
        )
        assert "*" not in "".join(statement["Action"])
        if not reads and any(resource.endswith("*") for resource in statement["Resource"]):
            assert statement.get("Condition"), statement["Sid"]
        if "*" in statement["Resource"]:
            assert reads, f"{statement['Sid']} changes everything"


def test_karpenters_policy_is_one_that_iam_takes() -> None:
    text = document(*statements())
    assert policy_fault(text) is None
    assert len(json.dumps(json.loads(text), separators=(",", ":"))) <= 10_240
    assert "{" not in "".join(resource for item in statements() for resource in item["Resource"])
    assert "kubernetes.io/cluster/manta-sim" in text


def test_a_role_is_for_one_account_of_one_cluster() -> None:
    condition = json.loads(pod_trust("123456789012", PLACE.cluster_arn, "ray", "ray"))["Statement"][0]["Condition"]
    assert condition["StringEquals"]["aws:RequestTag/kubernetes-namespace"] == "ray"
    assert condition["StringEquals"]["aws:RequestTag/kubernetes-service-account"] == "ray"
    assert condition["ArnEquals"]["aws:SourceArn"] == PLACE.cluster_arn


def test_ray_writes_under_its_own_prefix_alone() -> None:
    buckets = {"data": "d", "artifacts": "a", "checkpoints": "c"}
    for statement in ray_statements(PLACE, buckets, "ray"):
        if any(action in ("s3:PutObject", "s3:DeleteObject") for action in statement["Action"]):
            assert statement["Resource"] == ["arn:aws:s3:::c/ray/*"]
        assert not any("arn:aws:s3:::a" in resource for resource in statement["Resource"])


def test_buckets_and_queue_refuse_plain_text() -> None:
    for text in (tls_only("aws", "b"), interruptions.queue_policy(PLACE.arn("sqs", "q"), "123456789012")):
        denied = [item for item in json.loads(text)["Statement"] if item["Effect"] == "Deny"]
        assert [item["Condition"] for item in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
        assert policy_fault(text) is None


def test_every_kind_of_interruption_that_karpenter_hears_is_sent() -> None:
    sent = {kind for rule in interruptions.RULES.values() for kind in rule["detail-type"]}  # type: ignore[attr-defined]
    assert sent == {
        "EC2 Spot Instance Interruption Warning",
        "EC2 Instance Rebalance Recommendation",
        "AWS Health Event",
        "EC2 Instance State-change Notification",
        "EC2 Capacity Reservation Instance Interruption Warning",
    }


def test_a_kubeconfig_has_no_credentials() -> None:
    found = json.loads(kubeconfig("manta-sim", "us-east-1", "https://x", "Y2E="))
    assert found["users"][0]["user"]["exec"]["command"] == "aws"
    assert "token" not in found["users"][0]["user"]


def test_a_bucket_name_over_the_limit_names_the_setting() -> None:
    with pytest.raises(SettingsError, match=r"manta:aws.storage.prefix makes the bucket name .* S3 allows 63"):
        PLACE.bucket("a" * 60, "checkpoints")
