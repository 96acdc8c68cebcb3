"""A workbench: who may have one, what it is made of, and how KEDA keeps workers ready for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.contract import Contract
from infra.errors import SettingsError
from infra.kubernetes.network import network_manifests
from infra.layers import scaling
from infra.layers.workbench import workbench_spec
from infra.ray import demand
from infra.ray.workbench import COUNTED, workbench_manifest
from infra.settings import PlatformSettings, ServeSettings, WorkbenchSettings, load
from infra.settings.scaling import ScalingSettings
from infra.stack import StackName
from tests.contract.manifests import ON_AWS, SCALING, bench_settings, demand_manifests, platform_settings, ray_cluster
from tests.contract.schemas import crds
from tests.unit.infra.conftest import serve_values
from tests.unit.infra.paths import PROJECT

HOURS, QUEUE = SCALING["hours"][0], SCALING["queue"]
STACK = StackName("workbench", "dev")


def read(stack: str, values: dict[str, Any]) -> Any:
    return load(StackName.parse(stack), {f"manta:{key}": json.dumps(value) for key, value in values.items()})


def test_without_a_word_it_scales_from_none_to_eight_gpu_workers() -> None:
    (group,) = workbench_manifest(workbench_spec(STACK, WorkbenchSettings(), ON_AWS))["spec"]["workerGroupSpecs"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (0, 0, 8)
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("stack", ["workbench-prod", "workbench-prod-anna"])
def test_production_has_none(stack: str) -> None:
    with pytest.raises(SettingsError, match=f"stack {stack}: a workbench runs whatever anyone submits"):
        read(stack, {})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"workers": {"count": 2}}, "say either count, or min and max"),
        ({"workers": {"count": 2, "min": None, "max": None}}, "a workbench gives idle workers back"),
        ({"workrs": {}}, "manta:workrs is not a setting (did you mean workers?)"),
        ({"bundle": "payloads"}, "manta:bundle is not a setting"),
        ({"scaling": {}}, "nothing scales: say hours or queue"),
        ({"scaling": {"hours": [{**HOURS, "workers": 9}]}}, "9 workers are more than workers.max 8"),
        ({"scaling": {"hours": [{**HOURS, "timezone": "Berlin"}]}}, "IANA database"),
        ({"scaling": {"hours": [{**HOURS, "start": "8 o'clock"}]}}, "write it as 0 8 * * 1-5"),
        ({"scaling": {"hours": [{**HOURS, "end": HOURS["start"]}]}}, "start and end are both"),
        ({"scaling": {"queue": {"url": "https://example.com/queue"}}}, "manta:scaling.queue.url"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_setting(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read("workbench-dev", values)
    assert words in str(caught.value)
    assert "workbench-dev" in str(caught.value)


def test_a_stack_of_its_own_names_its_workbench() -> None:
    assert workbench_spec(StackName.parse("workbench-dev-anna"), WorkbenchSettings(), ON_AWS).name == "anna"
    assert workbench_spec(STACK, WorkbenchSettings(), ON_AWS).name == "workbench"


def test_nothing_reaches_it_but_the_clusters_own_service_and_the_token() -> None:
    spec = ray_cluster("as in the repository")["spec"]
    assert spec["authOptions"] == {"mode": "token", "secretName": "ray-auth"}
    head = spec["headGroupSpec"]
    assert (head["serviceType"], head["headService"]["spec"]["type"]) == ("ClusterIP", "ClusterIP")
    assert "enableIngress" not in head
    ports = {port["name"]: port["containerPort"] for port in head["template"]["spec"]["containers"][0]["ports"]}
    assert (ports["dashboard"], ports["client"]) == (8265, 10001)


def test_its_head_is_on_demand_and_stays_and_its_workers_are_neither() -> None:
    spec = ray_cluster("as in the repository")["spec"]
    head, worker = spec["headGroupSpec"]["template"], spec["workerGroupSpecs"][0]["template"]
    assert head["spec"]["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    assert head["metadata"]["annotations"] == {"karpenter.sh/do-not-disrupt": "true"}
    assert "karpenter.sh/capacity-type" not in worker["spec"]["nodeSelector"]
    assert "annotations" not in worker["metadata"]


def test_raysautoscaler_alone_counts_its_workers() -> None:
    spec = ray_cluster("as in the repository")["spec"]
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert spec["autoscalerOptions"]["idleTimeoutSeconds"] == 600
    assert set(COUNTED) <= set(spec["workerGroupSpecs"][0])


def test_a_change_is_not_refused_for_the_autoscalers_counting() -> None:
    assert ray_cluster("as in the repository")["metadata"]["annotations"]["pulumi.com/patchForce"] == "true"
    (definition,) = [each for each in crds("ray.io").values() if each["spec"]["names"]["kind"] == "RayCluster"]
    (version,) = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert "x-kubernetes-list-type" not in spec["workerGroupSpecs"], "it could be owned by parts, and force not needed"


def test_a_changed_pod_reaches_the_pods() -> None:
    assert ray_cluster("as in the repository")["spec"]["upgradeStrategy"] == {"type": "Recreate"}


def by_kind(scaling: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in demand_manifests(scaling)}


def test_keda_scales_a_deployment_and_nothing_else_says_how_large_it_is() -> None:
    found = by_kind()
    target = found["ScaledObject"]["spec"]["scaleTargetRef"]
    assert target == {"name": found["Deployment"]["metadata"]["name"]}, "without a kind KEDA takes a Deployment"
    assert "replicas" not in found["Deployment"]["spec"]
    scaled = found["ScaledObject"]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (0, 8)


def test_the_length_of_a_queue_and_the_hours_are_triggers() -> None:
    hours, queue = by_kind()["ScaledObject"]["spec"]["triggers"]
    assert hours["type"] == "cron"
    assert hours["metadata"] == {
        "timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 19 * * 1-5", "desiredReplicas": "2",
    }  # fmt: skip
    assert queue["type"] == "aws-sqs-queue"
    assert (queue["metadata"]["awsRegion"], queue["metadata"]["queueLength"]) == ("us-east-1", "4")
    assert all(isinstance(value, str) for value in queue["metadata"].values()), "KEDA takes only text"


def test_only_a_queue_needs_to_say_who_asks() -> None:
    assert "TriggerAuthentication" in by_kind()
    assert "TriggerAuthentication" not in by_kind({"hours": [HOURS]})


def test_a_replica_stands_for_one_whole_worker_of_the_cluster() -> None:
    (container,) = by_kind()["Deployment"]["spec"]["template"]["spec"]["containers"]
    head, service, cpus, gpus = container["command"][3:7]
    assert head == "workbench-head-svc.ray.svc:6379"
    assert service == "workbench-demand.ray.svc"
    assert (cpus, gpus) == ("3", "1")


def test_the_name_that_counts_replicas_resolves_to_each_of_them() -> None:
    found = by_kind()
    assert found["Service"]["spec"]["clusterIP"] == "None"
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"].items() <= labels.items()


def test_a_replica_that_goes_has_time_to_say_so() -> None:
    pod = by_kind()["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > demand.LEAVE_SECONDS > 5, "CoreDNS keeps an answer for 5 s"


def test_the_program_in_the_pod_is_python() -> None:
    compile(demand.SCRIPT, "demand", "exec")


def test_scaling_without_keda_says_what_to_bring_up(contract: Contract) -> None:
    wanted = ScalingSettings.model_validate(SCALING)
    with pytest.raises(SettingsError) as caught:
        scaling.require(contract, STACK, wanted)
    assert "manta:keda" in str(caught.value)
    assert "`pulumi up -s platform-dev`" in str(caught.value)
    scaling.require(ON_AWS, STACK, wanted)
    scaling.require(contract, STACK, None)


def test_a_queue_that_keda_may_not_read_is_named_with_what_to_add() -> None:
    wanted = ScalingSettings.model_validate({"queue": {"url": QUEUE["url"].replace("experiments", "other")}})
    with pytest.raises(SettingsError) as caught:
        scaling.require(ON_AWS, STACK, wanted)
    assert "add arn:aws:sqs:us-east-1:111122223333:other to manta:keda.queues of platform-dev" in str(caught.value)


def test_an_endpoint_with_a_fixed_number_of_workers_has_nothing_to_scale() -> None:
    with pytest.raises(ValueError, match=r"say workers\.min and workers\.max"):
        ServeSettings.model_validate(serve_values(scaling=SCALING))
    workers = {"min": 2, "max": 4, "cpus": 1, "memory": "3Gi"}
    assert ServeSettings.model_validate(serve_values(scaling=SCALING, workers=workers)).scaling


def with_keda() -> PlatformSettings:
    return PlatformSettings.model_validate({**platform_settings().model_dump(by_alias=True), "keda": {}})


def opened(keda: bool) -> set[str]:
    settings = with_keda() if keda else platform_settings()
    assert settings.network
    return {manifest["metadata"]["name"] for manifest in network_manifests(settings, settings.network).values()}


def test_only_a_platform_with_keda_opens_the_way_for_it() -> None:
    assert opened(True) - opened(False) == {"keda-operator", "keda-metrics", "keda-webhooks", "ray-demand"}


def test_the_scaled_pods_reach_the_head_and_nothing_else() -> None:
    settings = with_keda()
    assert settings.network
    found = network_manifests(settings, settings.network)["ray-demand"]["spec"]
    assert found["podSelector"]["matchLabels"] == {"manta/role": "demand"}
    (rule,) = found["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6379}]
    assert "ingress" not in found


def test_queues_are_read_on_aws_alone() -> None:
    values = platform_settings().model_dump(by_alias=True)
    with pytest.raises(ValueError, match="SQS queues are read on AWS alone"):
        PlatformSettings.model_validate({**values, "keda": {"queues": ["arn:aws:sqs:us-east-1:111122223333:x"]}})


def test_the_workbench_of_the_repository_stays_within_what_dev_may_have() -> None:
    limits = json.loads((PROJECT / "policies" / "limits.json").read_text())
    workers = bench_settings("as in the repository").workers
    assert workers.most * workers.gpus <= limits["gpus"]["dev"]
