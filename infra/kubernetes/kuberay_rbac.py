"""What the KubeRay operator may do: its chart's rules, cut down to the one namespace it watches.

Left out against the chart's ClusterRole: Ingresses, Routes and Gateways (nothing here asks for them), proxies (the
operator reaches pods directly), and everything cluster-wide.
"""

from __future__ import annotations

from typing import Any

NAME = "kuberay-operator"
_GROUP = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_ALL = ["create", "delete", "get", "list", "patch", "update", "watch"]
_RAY = ["rayclusters", "rayjobs", "rayservices", "raycronjobs"]


def watched_rules() -> list[dict[str, Any]]:
    """In the namespace of the Ray resources."""
    return [
        _rule("", ["events"], ["create", "patch"]),
        _rule("", ["pods"], [*_ALL, "deletecollection"]),
        # Only so that it may grant them to the autoscaler of a cluster.
        _rule("", ["pods/resize"], ["patch"]),
        _rule("", ["services"], _ALL),
        _rule("", ["secrets"], [*_READ, "create"]),
        _rule("", ["serviceaccounts"], [*_READ, "create", "delete"]),
        _rule("batch", ["jobs"], _ALL),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
        _rule("ray.io", _RAY, _ALL),
        _rule("ray.io", [f"{kind}/status" for kind in _RAY], ["get", "patch", "update"]),
        _rule("ray.io", [f"{kind}/finalizers" for kind in _RAY], ["update"]),
        _rule(_GROUP, ["roles"], [*_READ, "create", "delete", "update"]),
        _rule(_GROUP, ["rolebindings"], [*_READ, "create", "delete"]),
    ]


def own_rules() -> list[dict[str, Any]]:
    """In its own namespace: the election of a leader."""
    return [
        _rule("coordination.k8s.io", ["leases"], ["create", "get", "list", "update"]),
        _rule("", ["events"], ["create", "patch"]),
    ]


def rbac_manifests(namespace: str, watched: str) -> dict[str, dict[str, Any]]:
    """Account, Roles and their bindings, by Pulumi name."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    manifests: dict[str, dict[str, Any]] = {
        "account": {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME, "namespace": namespace},
            "automountServiceAccountToken": True,
        }
    }
    for title, where, rules in (("watch", watched, watched_rules()), ("leader", namespace, own_rules())):
        name = f"{NAME}-{title}"
        metadata = {"name": name, "namespace": where}
        manifests[title] = {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
        manifests[f"{title}-binding"] = {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": name},
            "subjects": [account],
        }
    return manifests


def _rule(group: str, kinds: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": kinds, "verbs": verbs}
