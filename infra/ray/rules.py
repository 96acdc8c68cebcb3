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
from infra.plain import section
from infra.ray.naming import MAX_RAY_CLUSTER, MAX_RAY_JOB, MAX_RAY_SERVICE, checked
from infra.ray.rules_cluster import cluster_problems
from infra.ray.rules_deletion import deletion_problems
from infra.ray.rules_serve import serve_problems

_NAME_LIMITS = {"RayCluster": MAX_RAY_CLUSTER, "RayJob": MAX_RAY_JOB, "RayService": MAX_RAY_SERVICE}
# KubeRay's CRD takes any text here; a misspelt mode creates the cluster, submits nothing and says Running.
SUBMISSION_MODES = ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
_UPGRADES = {"RayService": ("NewCluster", "None"), "RayCluster": ("Recreate", "None")}
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
    if section(cluster, "headGroupSpec", "headService", "metadata").get("name"):
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
    if section(cluster, "upgradeStrategy").get("type"):
        yield f"upgradeStrategy cannot be set on the Ray cluster of a {kind}"
    if section(cluster, "authOptions").get("enableK8sTokenAuth"):
        yield f"authOptions.enableK8sTokenAuth is not supported for a {kind}"
