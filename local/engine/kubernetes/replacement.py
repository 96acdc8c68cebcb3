"""Which fields the API server never lets change (Kubernetes 1.34): a change of one means another object."""

from __future__ import annotations

from dataclasses import dataclass

from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.values import Path


@dataclass(frozen=True)
class Immutable:
    """Everything below `prefix`, except where the next part of the path is one of `but`."""

    prefix: tuple[str, ...]
    but: frozenset[str] = frozenset()

    def covers(self, path: Path) -> bool:
        """Whether a change at `path` touches an immutable field; a change above the prefix does when it is added or
        removed whole."""
        depth = len(self.prefix)
        if path[:depth] != self.prefix[: len(path)]:
            return False
        return not (len(path) > depth and path[depth] in self.but)


def _fields(*paths: str) -> tuple[Immutable, ...]:
    return tuple(Immutable(tuple(path.split("."))) for path in paths)


IDENTITY = _fields("kind", "metadata.name", "metadata.namespace")

_PV_MUTABLE = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
    }
)

_BY_KIND: dict[tuple[str, str], tuple[Immutable, ...]] = {
    ("", "PersistentVolume"): (Immutable(("spec",), _PV_MUTABLE),),
    ("", "PersistentVolumeClaim"): (Immutable(("spec",), frozenset({"resources", "volumeAttributesClassName"})),),
    ("", "Pod"): (Immutable(("spec",), frozenset({"activeDeadlineSeconds", "tolerations"})),),
    ("", "ResourceQuota"): _fields("spec.scopes", "spec.scopeSelector"),
    ("", "Service"): _fields("spec.clusterIP"),
    ("apps", "DaemonSet"): _fields("spec.selector"),
    ("apps", "Deployment"): _fields("spec.selector"),
    ("apps", "ReplicaSet"): _fields("spec.selector"),
    ("apps", "StatefulSet"): _fields(
        "spec.podManagementPolicy", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _fields("spec.group", "spec.scope", "spec.names.plural"),
    ("batch", "Job"): _fields(
        "spec.backoffLimitPerIndex",
        "spec.completionMode",
        "spec.completions",
        "spec.managedBy",
        "spec.podFailurePolicy",
        "spec.selector",
        "spec.successPolicy",
        "spec.template",
    ),
    ("discovery.k8s.io", "EndpointSlice"): _fields("addressType"),
    ("networking.k8s.io", "IngressClass"): _fields("spec.controller"),
    ("node.k8s.io", "RuntimeClass"): _fields("handler"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _fields("roleRef"),
    ("rbac.authorization.k8s.io", "RoleBinding"): _fields("roleRef"),
    ("scheduling.k8s.io", "PriorityClass"): _fields("preemptionPolicy", "value"),
    ("storage.k8s.io", "StorageClass"): _fields(
        "allowedTopologies", "mountOptions", "parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"
    ),
}

_CONTENT = {
    "ConfigMap": _fields("data", "binaryData"),
    "Secret": _fields("data", "stringData", "type"),
}


def immutable_fields(gvk: GroupVersionKind, *, content_mutable: bool) -> tuple[Immutable, ...]:
    """`content_mutable`: whether a ConfigMap's or Secret's content may change in place.

    By default it may not, as in the official provider, whether or not the object says `immutable`: pods do not see the
    change of a mounted one at any defined time, a new object they do.
    """
    kind = IDENTITY + _BY_KIND.get((gvk.group, gvk.kind), ())
    if gvk.group == "" and gvk.kind in _CONTENT:
        kind += _fields("type") if content_mutable and gvk.kind == "Secret" else ()
        kind += () if content_mutable else _CONTENT[gvk.kind]
    return kind
