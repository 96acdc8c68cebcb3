"""What every manifest must have, whatever the settings: the rules of the house that no schema knows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from infra.contract import Contract
from infra.layers.serve import service_spec
from infra.layers.train import job_spec
from infra.ray import job, service
from infra.settings import ServeSettings, TrainSettings
from infra.stack import StackName
from tests.contract.manifests import (
    BENCH_SHAPES,
    SERVE_SHAPES,
    TRAIN_SHAPES,
    demand_manifests,
    monitoring_manifests,
    platform_manifests,
    platform_settings,
    ray_cluster,
    ray_ingress,
    ray_job,
    ray_service,
    run_manifests,
)
from tests.unit.infra.conftest import IMAGE, serve_values, train_values

ALL = [
    *(ray_job(shape) for shape in TRAIN_SHAPES),
    *(ray_service(shape) for shape in SERVE_SHAPES),
    *(ray_cluster(shape) for shape in BENCH_SHAPES),
    *run_manifests(),
    *platform_manifests(),
    *demand_manifests(),
    *monitoring_manifests(),
    ray_ingress(),
]


def pods(at: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template in a manifest, with its path."""
    if isinstance(at, dict):
        if "containers" in at:
            yield path, at
        for key, value in at.items():
            yield from pods(value, f"{path}.{key}")
    elif isinstance(at, list):
        for index, value in enumerate(at):
            yield from pods(value, f"{path}[{index}]")


PODS = [
    pytest.param(pod, id=f"{manifest['kind']} {manifest['metadata']['name']}{path}-{number}")
    for number, manifest in enumerate(ALL)
    for path, pod in pods(manifest)
]


def cluster(manifest: dict[str, Any]) -> dict[str, Any]:
    spec = manifest["spec"]
    return spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec


RAY = [
    *(ray_job(shape) for shape in TRAIN_SHAPES),
    *(ray_service(shape) for shape in SERVE_SHAPES),
    *(ray_cluster(shape) for shape in BENCH_SHAPES),
]


@pytest.mark.parametrize("pod", PODS)
def test_every_pod_is_restricted(pod: dict[str, Any]) -> None:
    whole = pod["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        assert key not in pod
    for volume in pod.get("volumes", []):
        assert "hostPath" not in volume
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("pod", PODS)
def test_every_container_says_what_it_takes(pod: dict[str, Any]) -> None:
    for container in pod["containers"]:
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) >= {"cpu", "memory"}


@pytest.mark.parametrize("pod", PODS)
def test_every_image_is_named_by_digest(pod: dict[str, Any]) -> None:
    for container in pod["containers"]:
        assert "@sha256:" in container["image"]


@pytest.mark.parametrize("pod", PODS)
def test_only_operators_the_autoscalers_head_and_what_starts_runs_get_a_token(pod: dict[str, Any]) -> None:
    names = [container["name"] for container in pod["containers"]]
    if names in (["kuberay-operator"], ["prometheus-operator"]):
        return
    if pod.get("automountServiceAccountToken"):
        assert names in (["ray-head"], ["schedule"])
    else:
        assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("manifest", RAY, ids=lambda manifest: manifest["metadata"]["name"])
def test_every_ray_pod_has_the_account_that_has_a_role_on_aws(manifest: dict[str, Any]) -> None:
    spec = cluster(manifest)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert group["template"]["spec"]["serviceAccountName"] == "ray", "drivers, on the head, write to S3 too"


@pytest.mark.parametrize("manifest", ALL, ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}")
def test_no_secret_is_written_into_a_manifest(manifest: dict[str, Any]) -> None:
    for _, pod in pods(manifest):
        for container in pod["containers"]:
            for entry in container.get("env", []):
                if any(word in entry["name"] for word in ("SECRET", "TOKEN", "PASSWORD", "ACCESS_KEY")):
                    assert "value" not in entry, entry["name"]


@pytest.mark.parametrize("manifest", RAY, ids=lambda manifest: manifest["metadata"]["name"])
def test_every_ray_cluster_keeps_what_the_design_promises(manifest: dict[str, Any]) -> None:
    spec = cluster(manifest)
    head = spec["headGroupSpec"]
    assert spec["rayVersion"] == "2.60.0"
    assert spec["authOptions"] == {"mode": "token", "secretName": "ray-auth"}
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["serviceType"] == "ClusterIP"
    listed = {port["name"] for port in head["template"]["spec"]["containers"][0]["ports"]}
    assert listed >= {"gcs-server", "dashboard", "client", "metrics", "serve"}, (
        "KubeRay drops its own once one is listed"
    )
    for group in (head, *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
        drain = int(env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert drain < pod["terminationGracePeriodSeconds"] < 120, "drain < kill < spot notice"
        assert drain == 0 if group is head else drain > 5, "a worker drains longer than Ray polls, a head not at all"
        assert env["MLFLOW_TRACKING_URI"].startswith("http://mlflow.")
        assert env["MANTA_STORAGE"] == "s3://manta"


def test_a_run_is_deleted_by_pulumi_alone_and_always_ends() -> None:
    spec = ray_job("as in the repository")["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] == 60, "an ended run's pods hold the memory that the next one needs"
    assert spec["activeDeadlineSeconds"] > 0
    assert "deletionStrategy" not in spec


def test_the_entrypoint_survives_the_shell_it_is_pasted_into() -> None:
    entrypoint = ray_job("awkward parameters")["spec"]["entrypoint"]
    words = shlex.split(entrypoint)
    assert words[:3] == ["python", "-m", "payloads.training.train"]
    flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert flags["--note"] == 'it\'s $HOME; `rm -rf` "x"'
    assert flags["--fast"] == "true"
    assert flags["--lr"] == "1e-05"
    assert flags["--num-workers"] == "2"


def test_parameters_cannot_carry_a_command_into_the_shell() -> None:
    line = job.entrypoint("m", {"x": "1; touch /tmp/owned", "y": "$(id)"})
    assert shlex.split(line) == ["python", "-m", "m", "--x", "1; touch /tmp/owned", "--y", "$(id)"]


def test_a_run_in_another_shape_keeps_its_name_and_so_its_checkpoints(
    contract: Contract, train_stack: StackName
) -> None:
    def name(**changes: Any) -> str:
        return job_spec(train_stack, TrainSettings.model_validate(train_values(**changes)), contract, "c0de").name

    assert name() == name(workers={"count": 4, "cpus": 2, "memory": "8Gi"}, retries=5)
    assert name() != name(parameters={"lr": 0.1})
    assert name() != name(image=IMAGE.replace("a" * 64, "b" * 64))


def test_the_drivers_name_is_the_runs_name(
    contract: Contract, train_stack: StackName, train_settings: TrainSettings
) -> None:
    spec = job_spec(train_stack, train_settings, contract, "c0de")
    assert f"--run-name {spec.name}" in spec.entrypoint


@pytest.mark.parametrize("rollout", ["new_cluster", "in_place"])
def test_code_changes_the_pods_only_where_a_second_cluster_is_wanted(
    contract: Contract, serve_stack: StackName, serve_settings: ServeSettings, rollout: str
) -> None:
    settings = serve_settings.model_copy(update={"rollout": rollout})

    def spec(code: str) -> dict[str, Any]:
        return service.service_manifest(service_spec(serve_stack, settings, contract, code))["spec"]

    one, two = spec("a" * 64), spec("b" * 64)
    assert (one["rayClusterConfig"] != two["rayClusterConfig"]) == (rollout == "new_cluster")
    assert (one["serveConfigV2"] != two["serveConfigV2"]) == (rollout == "in_place")


def test_a_newer_model_replaces_replicas_and_no_pod(
    contract: Contract, serve_stack: StackName, serve_settings: ServeSettings
) -> None:
    def spec(version: str | None) -> dict[str, Any]:
        return service.service_manifest(service_spec(serve_stack, serve_settings, contract, "c0de", version))["spec"]

    one, two = spec("1"), spec("2")
    assert one["rayClusterConfig"] == two["rayClusterConfig"]
    assert yaml.safe_load(two["serveConfigV2"])["applications"][0]["runtime_env"] == {
        "env_vars": {"MANTA_MODEL_VERSION": "2"}
    }


def test_keys_of_secrets_that_are_there_reach_every_pod_by_reference(
    contract: Contract, serve_stack: StackName, serve_settings: ServeSettings
) -> None:
    settings = ServeSettings.model_validate(serve_values(secrets={"business": ["ONE_KEY", "OTHER_KEY"]}))
    manifest = service.service_manifest(service_spec(serve_stack, settings, contract, "c0de"))
    plain = service.service_manifest(service_spec(serve_stack, serve_settings, contract, "c0de"))
    found = [pod["containers"][0]["env"] for _, pod in pods(manifest)]
    without = [pod["containers"][0]["env"] for _, pod in pods(plain)]
    assert len(found) == 2, "head and workers"
    for env, before in zip(found, without, strict=True):
        assert [entry for entry in env if entry not in before] == [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": "business", "key": name}}}
            for name in ("ONE_KEY", "OTHER_KEY")
        ]


def test_the_budget_of_disruptions_is_a_number() -> None:
    budget = next(manifest for manifest in run_manifests() if manifest["kind"] == "PodDisruptionBudget")
    assert isinstance(budget["spec"]["minAvailable"], int), "a RayCluster has no scale subresource to take a share of"


def test_every_namespace_denies_what_no_policy_opens() -> None:
    settings = platform_settings()
    policies = [manifest for manifest in platform_manifests() if manifest["kind"] == "NetworkPolicy"]
    for namespace in (settings.namespace, settings.system_namespace):
        (deny,) = [
            policy
            for policy in policies
            if policy["metadata"]["namespace"] == namespace and policy["metadata"]["name"] == "default-deny"
        ]
        assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_nothing_opens_ray_to_everybody() -> None:
    for policy in platform_manifests():
        if policy["kind"] != "NetworkPolicy":
            continue
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            peers = rule.get("from") or rule.get("to")
            assert peers, f"{policy['metadata']['name']} has a rule without a peer, which means everybody"
            for peer in peers:
                assert peer.get("ipBlock", {}).get("cidr") != "0.0.0.0/0"


def test_the_operator_may_do_nothing_outside_its_two_namespaces() -> None:
    kinds = {manifest["kind"] for manifest in platform_manifests()}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}


def test_no_role_grants_everything() -> None:
    for manifest in [*platform_manifests(), *run_manifests()]:
        for rule in manifest.get("rules", []):
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
