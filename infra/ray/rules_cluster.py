"""What KubeRay 1.6.2 rejects in the Ray cluster of any of its resources (part of `infra.ray.rules`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from infra.plain import entries, section

Manifest = Mapping[str, Any]
_V2 = "RAY_enable_autoscaler_v2"
_LABEL = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def cluster_problems(spec: Manifest, annotations: Mapping[str, str]) -> Iterator[str]:
    head = spec["headGroupSpec"]
    workers = entries(spec, "workerGroupSpecs")
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
    params = section(group, "rayStartParams")
    for key, value in params.items():
        if not isinstance(value, str):
            yield f"group {name}: rayStartParams.{key} is {value!r}, and KubeRay takes only text: quote it"
    if group.get("resources") and any(params.get(key) for key in ("num-cpus", "num-gpus", "memory", "resources")):
        yield f"group {name} sets resources both in rayStartParams and in resources: keep one"
    if "labels" in params:
        yield f"group {name}: rayStartParams.labels is not supported: use the group's labels"
    for key, value in section(group, "labels").items():
        if not _LABEL.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            yield f"group {name}: {key}={value} is no Kubernetes label"


def _worker_problems(worker: Manifest, spec: Manifest, scaling: bool) -> Iterator[str]:
    name, low, high = worker.get("groupName", "?"), worker.get("minReplicas"), worker.get("maxReplicas")
    if not scaling and (low is None or high is None):
        yield f"group {name}: minReplicas and maxReplicas must be set while autoscaling is off"
    if (low is not None and low < 0) or (high is not None and high < 0):
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
    params = section(spec, "headGroupSpec", "rayStartParams")
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
    options, env = section(spec, "autoscalerOptions"), _head_env(spec)
    if not scaling and env.get(_V2) in ("1", "true"):
        yield f"{_V2} is set while enableInTreeAutoscaling is off"
    if scaling and options.get("version") and _V2 in env:
        yield f"autoscalerOptions.version and the head's {_V2} exclude each other: keep the version"
    if scaling and options.get("version") != "v2":
        # Not refused: Ray then runs v2 without the settings that KubeRay makes for it.
        yield "autoscalerOptions.version must be v2 while autoscaling is on"
    if _autoscaler_v2(spec, scaling):
        for group in (spec["headGroupSpec"], *entries(spec, "workerGroupSpecs")):
            if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield f"group {group.get('groupName', 'head')}: restartPolicy must be Never under autoscaler v2"
    if (options.get("idleTimeoutSeconds") or 0) < 0:
        yield "autoscalerOptions.idleTimeoutSeconds must not be negative"


def _auth_problems(spec: Manifest) -> Iterator[str]:
    auth = section(spec, "authOptions")
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


def _autoscaler_v2(spec: Manifest, scaling: bool) -> bool:
    return scaling and section(spec, "autoscalerOptions").get("version") == "v2"


def _head_env(spec: Manifest) -> dict[str, str]:
    container = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    return {entry["name"]: entry.get("value", "") for entry in entries(container, "env")}
