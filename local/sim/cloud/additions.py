"""Smaller things that moto lacks, and what EKS puts into every cluster of its own."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS
from moto.iam.access_control import PermissionResult

from local.cluster import names
from local.cluster.layout import NODE_STATE
from local.sim.cloud.config import WEBHOOK_PORT
from local.sim.cloud.kubernetes import Kubernetes, KubernetesError
from local.sim.cloud.prices import Prices
from local.sim.cloud.tokens import POLICY_GROUPS

_RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_WEBHOOK = "pod-identity-webhook"  # EKS's own name for it


def spot_prices(prices: Prices) -> Callable[[Any], ActionResult]:
    """DescribeSpotPriceHistory for moto's EC2 responses: the present price of every type in every zone."""

    def describe(response: Any) -> ActionResult:
        region = response.ec2_backend.region_name
        wanted = set(response._get_param("InstanceTypes", []))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        history: list[dict[str, str]] = []
        for offering in INSTANCE_TYPE_OFFERINGS["availability-zone"].get(region, []):
            name, zone = offering["InstanceType"], offering["Location"]
            price = prices.spot(region, name, zone)
            if price is not None and (not wanted or name in wanted):
                described = {"InstanceType": name, "ProductDescription": "Linux/UNIX", "AvailabilityZone": zone}
                history.append({**described, "SpotPrice": f"{price:.6f}", "Timestamp": now})
        return ActionResult({"SpotPriceHistory": history})

    return describe


def instance_profiles(response: Any) -> ActionResult:
    """ListInstanceProfiles below a path: moto gives all, and Karpenter deletes what it finds below its own."""
    prefix = response._get_param("PathPrefix") or "/"
    found = [profile for profile in response.backend.get_instance_profiles() if profile.path.startswith(prefix)]
    return ActionResult({"InstanceProfiles": found})


def bucket_permission(bucket: Any, action: str, resource: str) -> PermissionResult:  # noqa: ARG001 - moto's signature
    """moto takes a bucket policy's Deny without its Condition, so that "no plain HTTP" would shut everyone out; who may
    do what is decided by the callers' own policies alone."""
    return PermissionResult.NEUTRAL


def nothing_to_dispose(marker: Any, garbage: bool = False) -> None:
    """What moto calls on a version that is deleted and lacks on delete markers: a versioned bucket could not be
    emptied."""


def install(kubernetes: Kubernetes) -> None:
    """Put the webhook and the access policies' roles into the cluster, as soon as its API server answers."""
    while True:
        try:
            kubernetes.apply(f"{_WEBHOOKS}/{_WEBHOOK}", _webhook())
            for policy, role in POLICY_GROUPS.items():
                binding = _binding(f"eks:{policy}", role)
                kubernetes.apply(f"{_RBAC}/{binding['metadata']['name']}", binding)
            return
        except KubernetesError:
            time.sleep(0.2)


def _webhook() -> dict[str, Any]:
    authority = (Path(NODE_STATE) / "pki" / "cluster-ca.crt").read_bytes()
    hook = {
        "name": "iam-for-pods.amazonaws.com",
        "clientConfig": {
            "url": f"https://{names.NODE_ADDRESS}:{WEBHOOK_PORT}/sim/pods",
            "caBundle": base64.b64encode(authority).decode(),
        },
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 5,
    }
    metadata = {"name": _WEBHOOK}
    kind = "MutatingWebhookConfiguration"
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata, "webhooks": [hook]}


def _binding(group: str, role: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": group.lower()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }
