"""Services and Ingresses: traffic can reach something."""

from __future__ import annotations

from collections.abc import Sequence

from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.objects import Object, items, section
from local.engine.kubernetes.waits.status import Query, Ready, Status, Waiting

ENDPOINT_SLICES = GroupVersionKind("discovery.k8s.io", "v1", "EndpointSlice")


def slices_of(obj: Object) -> tuple[Query, ...]:
    return (Query(ENDPOINT_SLICES, label_selector=f"kubernetes.io/service-name={obj['metadata']['name']}"),)


def service_status(obj: Object, slices: Sequence[Object]) -> Status:
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return Ready()
    if spec.get("type") == "LoadBalancer" and not _addresses(obj):
        return Waiting("no load balancer has given it an address")
    if spec.get("clusterIP") == "None" or not spec.get("selector"):
        # A headless Service exists before its pods do; without a selector someone else keeps the endpoints.
        return Ready()
    for entry in slices:
        for endpoint in items(entry, "endpoints"):
            # `ready` is absent when the pod's state is unknown, which counts as ready.
            if section(endpoint, "conditions").get("ready", True):
                return Ready()
    selector = ",".join(f"{k}={v}" for k, v in spec["selector"].items())
    return Waiting(f"no ready pod matches its selector {selector}")


def ingress_status(obj: Object) -> Status:
    if _addresses(obj):
        return Ready()
    return Waiting("no ingress controller has given it an address")


def _addresses(obj: Object) -> bool:
    return bool(section(obj, "status", "loadBalancer").get("ingress"))
