"""A plain manifest as a resource of the Pulumi Kubernetes SDK."""

from __future__ import annotations

import re
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.apiextensions import CustomResource

_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


def _classes() -> dict[tuple[str, str], Any]:
    # Inside a function: the SDK loads an API group when it is first touched, and a stack needs few of them.
    return {
        ("v1", "Namespace"): lambda: k8s.core.v1.Namespace,
        ("v1", "ConfigMap"): lambda: k8s.core.v1.ConfigMap,
        ("v1", "Secret"): lambda: k8s.core.v1.Secret,
        ("v1", "Service"): lambda: k8s.core.v1.Service,
        ("v1", "ServiceAccount"): lambda: k8s.core.v1.ServiceAccount,
        ("v1", "PersistentVolume"): lambda: k8s.core.v1.PersistentVolume,
        ("v1", "PersistentVolumeClaim"): lambda: k8s.core.v1.PersistentVolumeClaim,
        ("v1", "ResourceQuota"): lambda: k8s.core.v1.ResourceQuota,
        ("v1", "LimitRange"): lambda: k8s.core.v1.LimitRange,
        ("apps/v1", "DaemonSet"): lambda: k8s.apps.v1.DaemonSet,
        ("apps/v1", "Deployment"): lambda: k8s.apps.v1.Deployment,
        ("batch/v1", "Job"): lambda: k8s.batch.v1.Job,
        ("batch/v1", "CronJob"): lambda: k8s.batch.v1.CronJob,
        ("networking.k8s.io/v1", "Ingress"): lambda: k8s.networking.v1.Ingress,
        ("networking.k8s.io/v1", "NetworkPolicy"): lambda: k8s.networking.v1.NetworkPolicy,
        ("storage.k8s.io/v1", "StorageClass"): lambda: k8s.storage.v1.StorageClass,
        ("policy/v1", "PodDisruptionBudget"): lambda: k8s.policy.v1.PodDisruptionBudget,
        ("rbac.authorization.k8s.io/v1", "Role"): lambda: k8s.rbac.v1.Role,
        ("rbac.authorization.k8s.io/v1", "RoleBinding"): lambda: k8s.rbac.v1.RoleBinding,
        ("rbac.authorization.k8s.io/v1", "ClusterRole"): lambda: k8s.rbac.v1.ClusterRole,
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): lambda: k8s.rbac.v1.ClusterRoleBinding,
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): (
            lambda: k8s.apiextensions.v1.CustomResourceDefinition
        ),
    }


def register(name: str, manifest: dict[str, Any], opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """Register `manifest` under the Pulumi name `name`; a kind that the SDK does not know becomes a CustomResource."""
    loader = _classes().get((manifest["apiVersion"], manifest["kind"]))
    if loader is None:
        return CustomResource(
            name,
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=opts,
        )
    body = {_snake(key): value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    return loader()(name, **body, opts=opts)


def _snake(key: str) -> str:
    return _CAPITAL.sub(lambda match: f"_{match[1].lower()}", key)
