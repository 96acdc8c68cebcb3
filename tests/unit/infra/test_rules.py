"""Each thing that KubeRay or Ray would take and then refuse, ignore or hang on is found before it is sent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from infra.errors import RuleError
from infra.ray import capacity, rules
from infra.ray.rules_serve import APPLICATION, AUTOSCALING, DEPLOYMENT, TOP_LEVEL, serve_problems
from infra.settings import ServeSettings, TrainSettings
from tests.unit.infra.conftest import serve_values, train_values

Bend = Callable[[dict[str, Any]], object]
POD = {"containers": [{"name": "ray", "image": "x"}]}


def cluster(**changes: Any) -> dict[str, Any]:
    return {
        "rayVersion": "2.60.0",
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": copy.deepcopy(POD)}},
        "workerGroupSpecs": [
            {
                "groupName": "w",
                "minReplicas": 1,
                "maxReplicas": 2,
                "rayStartParams": {},
                "template": {"spec": copy.deepcopy(POD)},
            }
        ],
        **changes,
    }


def resource(kind: str, **spec: Any) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "RayCluster": cluster(),
        "RayJob": {"rayClusterSpec": cluster(), "activeDeadlineSeconds": 60, "shutdownAfterJobFinishes": True},
        "RayService": {
            "rayClusterConfig": cluster(),
            "serveConfigV2": "applications: [{name: a, import_path: 'm:a', deployments: [{name: d}]}]",
        },
    }
    return {"kind": kind, "metadata": {"name": "digits"}, "spec": {**bodies[kind], **spec}}


def head(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["headGroupSpec"]


def env(spec: dict[str, Any], **values: str) -> None:
    head(spec)["template"]["spec"]["containers"][0]["env"] = [{"name": k, "value": v} for k, v in values.items()]


def scaling(spec: dict[str, Any], **options: Any) -> dict[str, Any]:
    spec.update(enableInTreeAutoscaling=True, autoscalerOptions={"version": "v2", **options})
    return spec["workerGroupSpecs"][0]


CLUSTER_RULES: list[tuple[Bend, str]] = [
    (lambda s: head(s)["template"]["spec"].update(containers=[]), "has no container"),
    (lambda s: head(s)["rayStartParams"].update({"num-cpus": 0}), "takes only text"),
    (lambda s: head(s).update(resources={"CPU": "1"}), "both in rayStartParams and in resources"),
    (lambda s: head(s)["rayStartParams"].update(labels="a=b"), "rayStartParams.labels"),
    (lambda s: head(s).update(labels={"-bad": "x"}), "no Kubernetes label"),
    (lambda s: s["workerGroupSpecs"][0].pop("minReplicas"), "must be set while autoscaling is off"),
    (lambda s: s["workerGroupSpecs"][0].update(minReplicas=-1), "must not be negative"),
    (lambda s: s["workerGroupSpecs"][0].update(minReplicas=3), "minReplicas 3 is more than maxReplicas 2"),
    (lambda s: scaling(s).update(suspend=True), "cannot be suspended while autoscaling is on"),
    (lambda s: s["workerGroupSpecs"][0].update(idleTimeoutSeconds=5), "needs autoscalerOptions.version v2"),
    (lambda s: scaling(s).update(idleTimeoutSeconds=-5), "idleTimeoutSeconds must not be negative"),
    (lambda s: s.update(enableInTreeAutoscaling=True), "autoscalerOptions.version must be v2"),
    (lambda s: scaling(s, idleTimeoutSeconds=-1), "autoscalerOptions.idleTimeoutSeconds"),
    (lambda s: scaling(s)["template"]["spec"].update(restartPolicy="Always"), "restartPolicy must be Never"),
    (lambda s: env(s, RAY_enable_autoscaler_v2="1"), "while enableInTreeAutoscaling is off"),
    (lambda s: (scaling(s), env(s, RAY_enable_autoscaler_v2="1")), "exclude each other: keep the version"),
    (lambda s: env(s, RAY_REDIS_ADDRESS="redis:6379"), "without gcsFaultToleranceOptions"),
    (lambda s: (s.update(gcsFaultToleranceOptions={}), head(s)["rayStartParams"].update({"redis-username": "x"})),
     "redisUsername"),
    (lambda s: (s.update(gcsFaultToleranceOptions={"redisAddress": "r"}), env(s, REDIS_PASSWORD="x")),
     "REDIS_PASSWORD excludes gcsFaultToleranceOptions"),
    (lambda s: s.update(authOptions={}), "leaves the cluster open"),
    (lambda s: s.update(authOptions={"enableK8sTokenAuth": True}), "needs authOptions.mode token"),
    (lambda s: s.update(authOptions={"mode": "token"}, rayVersion=""), "needs rayVersion"),
    (lambda s: s.update(authOptions={"mode": "token"}, rayVersion="2.51.0"), "needs Ray 2.52.0"),
    (lambda s: s.update(authOptions={"mode": "token", "enableK8sTokenAuth": True, "secretName": "x"}),
     "secretName exclude each other"),
    (lambda s: s.update(upgradeStrategy={"type": "NewCluster"}), "it is one of Recreate, None"),
]  # fmt: skip


@pytest.mark.parametrize(("bend", "words"), CLUSTER_RULES)
def test_a_ray_cluster_that_kuberay_would_refuse_is_refused(bend: Bend, words: str) -> None:
    manifest = resource("RayCluster")
    bend(manifest["spec"])
    found = rules.problems(manifest)
    assert any(words in problem for problem in found), found


JOB_RULES: list[tuple[dict[str, Any], str]] = [
    ({"submissionMode": "K8SJobMode"}, "would never submit"),
    ({"suspend": True, "shutdownAfterJobFinishes": False}, "suspended RayJob needs shutdownAfterJobFinishes"),
    ({"ttlSecondsAfterFinished": -1}, "ttlSecondsAfterFinished"),
    ({"ttlSecondsAfterFinished": 5, "shutdownAfterJobFinishes": False}, "needs shutdownAfterJobFinishes"),
    ({"rayClusterSpec": None}, "rayClusterSpec or clusterSelector must be set"),
    ({"clusterSelector": {"x": "y"}}, "must name a cluster"),
    ({"clusterSelector": {"ray.io/cluster": "y"}, "backoffLimit": 1}, "excludes SidecarMode and backoffLimit"),
    ({"submissionMode": "InteractiveMode", "backoffLimit": 1}, "InteractiveMode allows none"),
    ({"backoffLimit": -1}, "backoffLimit must not be negative"),
    ({"submissionMode": "SidecarMode", "submitterConfig": {}}, "SidecarMode excludes"),
    ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds must be positive"),
    ({"activeDeadlineSeconds": None}, "activeDeadlineSeconds must be set"),
    ({"preRunningDeadlineSeconds": -1}, "preRunningDeadlineSeconds must be positive"),
    ({"runtimeEnvYAML": "a: [b"}, "runtimeEnvYAML is no YAML"),
    ({"metadata": {"a": "b"}, "rayClusterSpec": cluster(rayVersion="")}, "metadata needs"),
    ({"rayClusterSpec": cluster(upgradeStrategy={"type": "Recreate"})}, "Ray cluster of a RayJob"),
    ({"rayClusterSpec": cluster(authOptions={"mode": "token", "enableK8sTokenAuth": True})}, "for a RayJob"),
    ({"deletionStrategy": {}}, "must not be empty"),
    ({"deletionStrategy": {"deletionRules": [{"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED"}}]}},
     "deletionRules and shutdownAfterJobFinishes exclude each other"),
    ({"deletionStrategy": {"onSuccess": {"policy": "DeleteNone"}}}, "must both be set"),
    ({"deletionStrategy": {"onSuccess": {"policy": "DeleteNone"}, "onFailure": {"policy": "DeleteNone"}}},
     "DeleteNone and shutdownAfterJobFinishes"),
]  # fmt: skip
DELETION_RULES: list[tuple[list[dict[str, Any]], str]] = [
    ([{"policy": "DeleteCluster", "condition": {}}], "either jobStatus or jobDeploymentStatus"),
    ([{"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED", "ttlSeconds": -1}}], "must not be negative"),
    ([{"policy": "DeleteSelf", "condition": {"jobStatus": "FAILED"}}], "removes what Pulumi owns"),
    ([{"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED"}}] * 2, "repeats DeleteCluster"),
    ([{"policy": "DeleteWorkers", "condition": {"jobStatus": "FAILED", "ttlSeconds": 9}},
      {"policy": "DeleteCluster", "condition": {"jobStatus": "FAILED", "ttlSeconds": 3}}], "must not fall"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), JOB_RULES)
def test_a_ray_job_that_kuberay_would_refuse_is_refused(change: dict[str, Any], words: str) -> None:
    found = rules.problems(resource("RayJob", **change))
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize(("given", "words"), DELETION_RULES)
def test_deletion_rules_that_kuberay_would_refuse_are_refused(given: list[dict[str, Any]], words: str) -> None:
    spec = {"shutdownAfterJobFinishes": False, "deletionStrategy": {"deletionRules": given}}
    found = rules.problems(resource("RayJob", **spec))
    assert any(words in problem for problem in found), found


SERVICE_RULES: list[tuple[dict[str, Any], str]] = [
    ({"upgradeStrategy": {"type": "NewClusterWithIncrementalUpgrade"}}, "switched off"),
    ({"upgradeStrategy": {}}, "it is one of NewCluster, None"),
    ({"rayClusterDeletionDelaySeconds": -1}, "must not be negative"),
    ({"serveConfigV2": "applications: [{"}, "no YAML"),
    ({"serveConfigV2": "{}"}, "no applications"),
    ({"rayClusterConfig": cluster(authOptions={"mode": "token", "enableK8sTokenAuth": True})}, "for a RayService"),
]


@pytest.mark.parametrize(("change", "words"), SERVICE_RULES)
def test_a_ray_service_that_would_be_refused_or_never_upgraded_is_refused(change: dict[str, Any], words: str) -> None:
    found = rules.problems(resource("RayService", **change))
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("timeout", ["0s", "soon", "-5", "5 m"])
def test_an_initializing_timeout_that_is_no_duration_is_refused(timeout: str) -> None:
    manifest = resource("RayService")
    manifest["metadata"]["annotations"] = {"ray.io/initializing-timeout": timeout}
    assert any("initializing-timeout" in problem for problem in rules.problems(manifest))


def test_the_service_of_a_head_must_not_be_named() -> None:
    manifest = resource("RayService")
    manifest["spec"]["rayClusterConfig"]["headGroupSpec"]["headService"] = {"metadata": {"name": "mine"}}
    assert any("headService" in problem for problem in rules.problems(manifest))


@pytest.mark.parametrize(("kind", "limit"), [("RayCluster", 53), ("RayJob", 47), ("RayService", 47)])
def test_a_name_beyond_the_limit_of_its_kind_is_refused(kind: str, limit: int) -> None:
    manifest = resource(kind)
    assert rules.problems(manifest) == []
    manifest["metadata"]["name"] = "x" * (limit + 1)
    with pytest.raises(RuleError, match=f"at most {limit}"):
        rules.check(manifest)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("app: 1", "app is no setting of Ray Serve"),
        ("applications: [{import_paths: x}]", "did you mean import_path?"),
        ("applications: [{runtime_env: {working_dir: ./x}}]", "is a local path"),
        ("applications: [{deployments: [{name: d, max_concurrent_queries: 5}]}]", "max_concurrent_queries"),
        ("applications: [{deployments: [{name: d, num_replicas: 2, autoscaling_config: {max_replicas: 2}}]}]",
         "exclude each other"),
        ("applications: [{deployments: [{name: d, autoscaling_config: {max_replica: 2}}]}]", "mean max_replicas?"),
    ],
)  # fmt: skip
def test_what_ray_serve_would_drop_without_a_word_is_found(config: str, words: str) -> None:
    text = config if "applications" in config else f"{config}\napplications: [{{name: a}}]"
    found = list(serve_problems(text))
    assert any(words in problem for problem in found), found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_known_keys_are_those_of_the_installed_ray() -> None:
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import DeploymentSchema, ServeApplicationSchema, ServeDeploySchema

    for known, model in (
        (TOP_LEVEL, ServeDeploySchema),
        (APPLICATION, ServeApplicationSchema),
        (DEPLOYMENT, DeploymentSchema),
        (AUTOSCALING, AutoscalingConfig),
    ):
        assert known == set(model.model_fields), model.__name__


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": {"count": 2, "cpus": 1, "memory": "3Gi"}}, "leave none to Ray Data"),
        ({"trainer": {"cpusPerWorker": 2}}, "leave none to Ray Data"),
        ({"trainer": {"workers": 5}}, "find no place"),
        ({"trainer": {"cpusPerWorker": 3}}, "find no place"),
        ({"workers": {"min": 0, "max": 2, "cpus": 1, "memory": "3Gi"}}, "leave none to Ray Data"),
    ],
)
def test_training_that_would_starve_ray_data_or_never_start_is_refused(change: dict[str, Any], words: str) -> None:
    settings = TrainSettings.model_validate(train_values(**change))
    with pytest.raises(RuleError, match=words):
        capacity.check_training(settings, "train-local")


def test_training_that_leaves_a_cpu_to_ray_data_is_accepted(train_settings: TrainSettings) -> None:
    capacity.check_training(train_settings, "train-local")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": {"count": 1, "cpus": 1, "memory": "3Gi"}}, "the replicas want 2 CPUs"),
        ({"disruption": {"minAvailable": 3}}, "no node could ever be drained"),
    ],
)
def test_serving_that_finds_no_place_is_refused(change: dict[str, Any], words: str) -> None:
    settings = ServeSettings.model_validate(serve_values(**change))
    with pytest.raises(RuleError, match=words):
        capacity.check_serving(settings, "serve-local")
