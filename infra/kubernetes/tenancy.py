"""Namespaces in which only restricted pods run, and how much they may take."""

from __future__ import annotations

from typing import Any

from infra.settings.platform import PlatformSettings, QuotaSettings

RAY_ACCOUNT = "ray"
S3_ACCOUNT = "s3"
MLFLOW_ACCOUNT = "mlflow"


def namespace_manifest(name: str) -> dict[str, Any]:
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**levels, "app.kubernetes.io/part-of": "manta"}},
    }


def quota_manifest(namespace: str, quota: QuotaSettings) -> dict[str, Any]:
    hard = {
        "requests.cpu": quota.cpu,
        "requests.memory": quota.memory,
        "requests.nvidia.com/gpu": str(quota.gpus),
        "pods": str(quota.pods),
        # Nothing of Ray is reachable from outside but what is published on purpose.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return _manifest("v1", "ResourceQuota", "runs", namespace, {"hard": hard})


def limits_manifest(namespace: str) -> dict[str, Any]:
    """Sizes for containers that say none: the quota would refuse them."""
    limit = {
        "type": "Container",
        "default": {"cpu": "1", "memory": "1Gi"},
        "defaultRequest": {"cpu": "50m", "memory": "128Mi"},
    }
    return _manifest("v1", "LimitRange", "defaults", namespace, {"limits": [limit]})


def account_manifest(name: str, namespace: str, token: bool = False) -> dict[str, Any]:
    """A service account; `token` says whether its pods get its API token by default."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
        "automountServiceAccountToken": token,
    }


def tenancy_manifests(settings: PlatformSettings) -> dict[str, dict[str, Any]]:
    """Everything but the namespaces themselves, by Pulumi name."""
    ray, system = settings.namespace, settings.system_namespace
    return {
        "quota": quota_manifest(ray, settings.quota),
        "limits": limits_manifest(ray),
        "ray-account": account_manifest(RAY_ACCOUNT, ray),
        "s3-account": account_manifest(S3_ACCOUNT, system),
        "mlflow-account": account_manifest(MLFLOW_ACCOUNT, system),
    }


def _manifest(version: str, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
