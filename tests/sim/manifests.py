"""Pools and pods of these tests."""

from __future__ import annotations

from typing import Any

from tests.sim.by_hand import NAME

FAMILIES = ("g4dn", "g5", "g6")
GPU = "nvidia.com/gpu"
LIMIT = 8
IDLE_S = 20  # after which a pool gives an empty node back
IMAGE = "ami-760aaa0f"  # one of moto's, of x86_64


def node_class() -> dict[str, Any]:
    ours = [{"tags": {"karpenter.sh/discovery": NAME}}]
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "gpu"},
        "spec": {
            "amiFamily": "AL2023",
            "instanceProfile": f"{NAME}-node",
            "amiSelectorTerms": [{"id": IMAGE}],
            "subnetSelectorTerms": ours,
            "securityGroupSelectorTerms": ours,
            "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
            "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": {"volumeSize": "100Gi", "encrypted": True}}],
            "tags": {"manta:environment": "sim"},
        },
    }


def pool(capacity_type: str, weight: int) -> dict[str, Any]:
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity_type]},
        {"key": "karpenter.k8s.aws/instance-family", "operator": "In", "values": list(FAMILIES)},
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
    ]
    template = {
        "taints": [{"key": GPU, "effect": "NoSchedule"}],
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
        "requirements": requirements,
        "expireAfter": "720h",
    }
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": f"gpu-{capacity_type}"},
        "spec": {
            "weight": weight,
            "limits": {GPU: LIMIT},
            "disruption": {"consolidationPolicy": "WhenEmpty", "consolidateAfter": f"{IDLE_S}s"},
            "template": {"spec": template},
        },
    }


def workers(name: str, replicas: int, *, gpus: int = 1, tolerant: bool = True) -> dict[str, Any]:
    """A Deployment whose pods take `gpus` each and never share a node."""
    labels = {"app": name}
    spread = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 5,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [spread]}},
        "containers": [
            {"name": "ray", "image": "x", "resources": {"limits": {GPU: str(gpus)}, "requests": {"cpu": "2"}}}
        ],
    }
    if tolerant:
        pod["tolerations"] = [{"key": GPU, "operator": "Exists"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
