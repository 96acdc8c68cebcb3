"""Which wait a kind has, and for how long by default (the official provider's times)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.engine.kubernetes.identity import GroupVersionKind, annotations_of
from local.engine.kubernetes.objects import Object
from local.engine.kubernetes.waits import custom, definitions, jobs, network, pods, storage, workloads
from local.engine.kubernetes.waits.status import Query, Status

DEFAULT_TIMEOUT_S = 600.0
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"


@dataclass(frozen=True)
class Wait:
    related: Callable[[Object], tuple[Query, ...]]
    status: Callable[[Object, Sequence[Object]], Status]
    """Of the object and all related objects, in one list."""
    timeout_s: float = DEFAULT_TIMEOUT_S


def _alone(status: Callable[[Object], Status], timeout_s: float = DEFAULT_TIMEOUT_S) -> Wait:
    return Wait(lambda _: (), lambda obj, _: status(obj), timeout_s)


BY_KIND: dict[tuple[str, str], Wait] = {
    ("apps", "Deployment"): Wait(workloads.pods_of, workloads.deployment_status),
    ("apps", "StatefulSet"): Wait(workloads.pods_of, workloads.statefulset_status),
    ("apps", "DaemonSet"): Wait(workloads.pods_of, workloads.daemonset_status),
    ("batch", "Job"): Wait(jobs.pods_of, jobs.job_status),
    ("", "Pod"): _alone(pods.pod_status, 300.0),
    ("", "Service"): Wait(network.slices_of, network.service_status),
    ("networking.k8s.io", "Ingress"): _alone(network.ingress_status),
    ("", "PersistentVolumeClaim"): Wait(storage.class_of, storage.claim_status, 300.0),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _alone(definitions.crd_status),
}


def find(gvk: GroupVersionKind, inputs: Mapping[str, Any]) -> Wait | None:
    """The wait that the object's annotations or else its kind ask for. Raises WaitForError."""
    annotations = annotations_of(inputs)
    if str(annotations.get(SKIP_AWAIT, "")).lower() == "true":
        return None
    if text := annotations.get(custom.WAIT_FOR):
        checks = custom.parse(str(text))
        return _alone(lambda obj: custom.custom_status(checks, obj))
    return BY_KIND.get((gvk.group, gvk.kind))


def timeout_s(requested_s: float, inputs: Mapping[str, Any], default_s: float) -> float:
    """The resource's custom timeout goes before the annotation, that before the kind's default."""
    if requested_s > 0:
        return requested_s
    text = annotations_of(inputs).get(TIMEOUT_SECONDS)
    try:
        return float(text) if text is not None else default_s
    except (TypeError, ValueError):
        raise custom.WaitForError(f"{TIMEOUT_SECONDS}: {text!r} is no number of seconds") from None
