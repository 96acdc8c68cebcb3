"""What KubeRay 1.6.2's controller rejects after a manifest was accepted, found before it is sent.

Ported from its `validation.go`. The API server takes such a manifest; the operator then marks it invalid for good, and
`pulumi up` would wait for something that never comes. Each problem is one sentence; an empty list is a clean bill.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from infra.errors import RuleError
from infra.ray.naming import MAX_RAY_CLUSTER, MAX_RAY_JOB, MAX_RAY_SERVICE, checked
from infra.ray.rules_deletion import deletion_problems
from infra.ray.rules_serve import serve_problems

_NAME_LIMITS = {"RayCluster": MAX_RAY_CLUSTER, "RayJob": MAX_RAY_JOB, "RayService": MAX_RAY_SERVICE}
# KubeRay's CRD takes any text here; a misspelt mode creates the cluster, submits nothing and says Running.
SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
_UPGRADES = {"RayService": ("NewCluster", "None"), "RayCluster": ("Recreate", "None")}
_V2 = "RAY_enable_autoscaler_v2"
_LABEL = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|ms|s|m|h))+|\d+")
Manifest = Mapping[str, Any]


def check(manifest: Manifest) -> None:
    """Raise RuleError with the first problem of a RayCluster, RayJob or RayService."""
    for problem in problems(manifest):
        raise RuleError(f"{manifest['kind']} {manifest['metadata']['name']}: {problem}")


def problems(manifest: Manifest) -> list[str]:
    """Everything that KubeRay would refuse, or take and get wrong."""
    kind, spec, metadata = manifest["kind"], manifest["spec"], manifest["metadata"]
    found: list[str] = []
    try:
        checked(metadata["name"], _NAME_LIMITS[kind])
    except RuleError as error:
        found.append(str(error))
    annotations = metadata.get("annotations", {})
    if kind == "RayCluster":
        found += [*cluster_problems(spec, annotations), *_upgrade_problems(kind, spec)]
    elif kind == "RayJob":
        found += _job_problems(spec, annotations)
    else:
        found += _service_problems(spec, annotations)
    return found


def cluster_problems(spec: Manifest, annotations: Mapping[str, str]) -> Iterator[str]:
    head = spec["headGroupSpec"]
    workers = spec.get("workerGroupSpecs", [])
    scaling = bool(spec.get("enableInTreeAutoscaling"))
    for name, group in (("head", head), *((worker.get("groupName", "?"), worker) for worker in workers)):
        if not group["template"]["spec"].get("containers"):
            yield f"group {name} has no container"
            return
        yield from _group_problems(name, group)
    for worker in workers:
        yield from _worker_problems(worker, spec, scaling)
    yield from _fault_tolerance_problems(spec, annotations)
    yield from _autoscaler_problems(spec, scaling)
    yield from _auth_problems(spec)


def _group_problems(name: str, group: Manifest) -> Iterator[str]:
    params = group.get("rayStartParams") or {}
    for key, value in params.items():
        if not isinstance(value, str):
            yield f"group {name}: rayStartParams.{key} is {value!r}, and KubeRay takes only text: quote it"
    if group.get("resources") and any(params.get(key) for key in ("num-cpus", "num-gpus", "memory", "resources")):
        yield f"group {name} sets resources both in rayStartParams and in resources: keep one"
    if "labels" in params:
        yield f"group {name}: rayStartParams.labels is not supported: use the group's labels"
    for key, value in (group.get("labels") or {}).items():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            yield f"group {name}: {key}={value} is no Kubernetes label"


def _worker_problems(worker: Manifest, spec: Manifest, scaling: bool) -> Iterator[str]:
    name, low, high = worker.get("groupName", "?"), worker.get("minReplicas"), worker.get("maxReplicas")
    if not scaling and (low is None or high is None):
        yield f"group {name}: minReplicas and maxReplicas must be set while autoscaling is off"
    if low is not None and low < 0 or high is not None and high < 0:
        yield f"group {name}: minReplicas and maxReplicas must not be negative"
    if low is not None and high is not None and low > high:
        yield f"group {name}: minReplicas {low} is more than maxReplicas {high}"
    if worker.get("suspend") and scaling:
        yield f"group {name} cannot be suspended while autoscaling is on"
    idle = worker.get("idleTimeoutSeconds")
    if idle is not None and idle < 0:
        yield f"group {name}: idleTimeoutSeconds must not be negative"
    if idle is not None and not _autoscaler_v2(spec, scaling) and _head_env(spec).get(_V2) not in ("1", "true"):
        yield f"group {name}: idleTimeoutSeconds needs autoscalerOptions.version v2"


def _fault_tolerance_problems(spec: Manifest, annotations: Mapping[str, str]) -> Iterator[str]:
    options, env = spec.get("gcsFaultToleranceOptions"), _head_env(spec)
    params = spec["headGroupSpec"].get("rayStartParams") or {}
    if options and annotations.get("ray.io/ft-enabled"):
        yield "the annotation ray.io/ft-enabled and gcsFaultToleranceOptions exclude each other: keep the options"
    if not options and annotations.get("ray.io/ft-enabled") != "true" and "RAY_REDIS_ADDRESS" in env:
        yield "RAY_REDIS_ADDRESS is set without gcsFaultToleranceOptions: set it there"
    if options:
        for what, given in (
            ("rayStartParams.redis-password", params.get("redis-password")),
            ("the head's REDIS_PASSWORD", "REDIS_PASSWORD" in env),
            ("the head's RAY_REDIS_ADDRESS", "RAY_REDIS_ADDRESS" in env),
            ("the annotation ray.io/external-storage-namespace", annotations.get("ray.io/external-storage-namespace")),
        ):
            if given:
                yield f"{what} excludes gcsFaultToleranceOptions: set it there"
    if params.get("redis-username") or "REDIS_USERNAME" in env:
        yield "a Redis user name belongs into gcsFaultToleranceOptions.redisUsername"


def _autoscaler_problems(spec: Manifest, scaling: bool) -> Iterator[str]:
    options, env = spec.get("autoscalerOptions") or {}, _head_env(spec)
    if not scaling and env.get(_V2) in ("1", "true"):
        yield f"{_V2} is set while enableInTreeAutoscaling is off"
    if scaling and options.get("version") and _V2 in env:
        yield f"autoscalerOptions.version and the head's {_V2} exclude each other: keep the version"
    if scaling and options.get("version") != "v2":
        # Not refused: Ray then runs v2 without the settings that KubeRay makes for it.
        yield "autoscalerOptions.version must be v2 while autoscaling is on"
    if _autoscaler_v2(spec, scaling):
        for group in (spec["headGroupSpec"], *spec.get("workerGroupSpecs", [])):
            if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield f"group {group.get('groupName', 'head')}: restartPolicy must be Never under autoscaler v2"
    if (options.get("idleTimeoutSeconds") or 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds must not be negative"


def _auth_problems(spec: Manifest) -> Iterator[str]:
    auth = spec.get("authOptions") or {}
    if auth.get("mode") != "token":
        if auth.get("enableK8sTokenAuth"):
            yield "authOptions.enableK8sTokenAuth needs authOptions.mode token"
        elif "authOptions" in spec and auth.get("mode") != "disabled":
            # Not refused: KubeRay makes a token and leaves the cluster open.
            yield "authOptions without mode leaves the cluster open: set mode to token"
        return
    version = spec.get("rayVersion") or ""
    if not re.fullmatch(r"\d+\.\d+\.\d+.*", version):
        yield f"token authentication needs rayVersion as three numbers, not {version!r}"
    elif tuple(int(part) for part in version.split(".")[:2]) < (2, 52):
        yield f"token authentication needs Ray 2.52.0, and rayVersion is {version}"
    if auth.get("enableK8sTokenAuth") and auth.get("secretName"):
        yield "authOptions.enableK8sTokenAuth and secretName exclude each other"


def _job_problems(spec: Manifest, annotations: Mapping[str, str]) -> Iterator[str]:
    shutdown, mode = spec.get("shutdownAfterJobFinishes"), spec.get("submissionMode", "K8sJobMode")
    selector, cluster = spec.get("clusterSelector"), spec.get("rayClusterSpec")
    ttl, backoff = spec.get("ttlSecondsAfterFinished", 0), spec.get("backoffLimit", 0)
    if mode not in SUBMISSION_MODES:
        yield f"submissionMode {mode!r} would never submit: it is one of {', '.join(SUBMISSION_MODES)}"
    if spec.get("suspend") and (not shutdown or selector):
        yield "a suspended RayJob needs shutdownAfterJobFinishes and no clusterSelector"
    if ttl < 0 or (ttl and not shutdown):
        yield "ttlSecondsAfterFinished must not be negative and needs shutdownAfterJobFinishes"
    if cluster is None and not selector:
        yield "rayClusterSpec or clusterSelector must be set"
    if selector and not selector.get("ray.io/cluster"):
        yield "clusterSelector must name a cluster under ray.io/cluster"
    if selector and (mode == "SidecarMode" or backoff):
        yield "clusterSelector excludes SidecarMode and backoffLimit"
    if backoff < 0 or (backoff and mode == "InteractiveMode"):
        yield "backoffLimit must not be negative, and InteractiveMode allows none"
    if mode == "SidecarMode":
        if "submitterPodTemplate" in spec or "submitterConfig" in spec:
            yield "SidecarMode excludes submitterPodTemplate and submitterConfig"
        if cluster and cluster["headGroupSpec"]["template"]["spec"].get("restartPolicy", "Never") != "Never":
            yield "SidecarMode needs the head's restartPolicy to be Never"
    for deadline in ("activeDeadlineSeconds", "preRunningDeadlineSeconds"):
        if spec.get(deadline) is not None and spec[deadline] <= 0:
            yield f"{deadline} must be positive"
    if spec.get("activeDeadlineSeconds") is None:
        # Not refused: KubeRay 1.6.2 then asks an unreachable dashboard for ever.
        yield "activeDeadlineSeconds must be set"
    if spec.get("metadata") and cluster and not cluster.get("rayVersion"):
        yield "metadata needs rayClusterSpec.rayVersion"
    try:
        yaml.safe_load(spec.get("runtimeEnvYAML", ""))
    except yaml.YAMLError:
        yield "runtimeEnvYAML is no YAML"
    yield from deletion_problems(spec)
    if cluster:
        yield from cluster_problems(cluster, annotations)
        yield from _child_problems("RayJob", cluster)


def _service_problems(spec: Manifest, annotations: Mapping[str, str]) -> Iterator[str]:
    cluster = spec["rayClusterConfig"]
    yield from cluster_problems(cluster, annotations)
    yield from _child_problems("RayService", cluster)
    if ((cluster["headGroupSpec"].get("headService") or {}).get("metadata") or {}).get("name"):
        yield "headGroupSpec.headService.metadata.name must not be set"
    if (spec.get("rayClusterDeletionDelaySeconds") or 0) < 0:
        yield "rayClusterDeletionDelaySeconds must not be negative"
    timeout = annotations.get("ray.io/initializing-timeout")
    if timeout is not None and (not _DURATION.fullmatch(timeout) or not re.search(r"[1-9]", timeout)):
        yield f"annotation ray.io/initializing-timeout={timeout} is no positive duration, as 5m or 300"
    yield from _upgrade_problems("RayService", spec)
    yield from serve_problems(spec.get("serveConfigV2", ""))


def _upgrade_problems(kind: str, spec: Manifest) -> Iterator[str]:
    strategy = spec.get("upgradeStrategy")
    if strategy is None:
        return
    given, known = strategy.get("type"), _UPGRADES[kind]
    if given == "NewClusterWithIncrementalUpgrade":
        # Not refused: with the gate off, which is 1.6.2's default, such a service is never upgraded at all.
        yield "upgradeStrategy.type NewClusterWithIncrementalUpgrade needs a feature gate that KubeRay has switched off"
    elif given not in known:
        yield f"upgradeStrategy.type {given!r} is unknown: it is one of {', '.join(known)}"


def _child_problems(kind: str, cluster: Manifest) -> Iterator[str]:
    if (cluster.get("upgradeStrategy") or {}).get("type"):
        yield f"upgradeStrategy cannot be set on the Ray cluster of a {kind}"
    if (cluster.get("authOptions") or {}).get("enableK8sTokenAuth"):
        yield f"authOptions.enableK8sTokenAuth is not supported for a {kind}"


def _autoscaler_v2(spec: Manifest, scaling: bool) -> bool:
    return scaling and (spec.get("autoscalerOptions") or {}).get("version") == "v2"


def _head_env(spec: Manifest) -> dict[str, str]:
    container = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
