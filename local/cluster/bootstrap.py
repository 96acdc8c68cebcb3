"""The rights that our own certificates need beyond those Kubernetes grants its components by itself."""

from __future__ import annotations

from typing import Any

from local.cluster.api import Api, ApiUnavailableError

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def manifests() -> tuple[tuple[str, dict[str, Any]], ...]:
    """(path at the API server, object)."""
    dns_rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    return (
        _role("manta:coredns", dns_rules),
        _binding("manta:coredns", "manta:coredns", "manta:coredns"),
        # For logs, exec and port-forward the API server is a client of the kubelet, which asks it for permission.
        _binding("manta:apiserver-kubelet-client", "system:kubelet-api-admin", "manta:apiserver-kubelet-client"),
    )


def grant(api: Api) -> None:
    """Apply them; ApiUnavailableError when the API server does not take them yet."""
    for path, manifest in manifests():
        answer = api.apply(path, manifest)
        if answer.status >= 300:
            raise ApiUnavailableError(answer.body.get("message", f"HTTP status {answer.status}"))


def _role(name: str, rules: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
    return f"{_RBAC}/clusterroles/{name}", {**role, "rules": rules}


def _binding(name: str, role: str, user: str) -> tuple[str, dict[str, Any]]:
    group = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
    return f"{_RBAC}/clusterrolebindings/{name}", binding
