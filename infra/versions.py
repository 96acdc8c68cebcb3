"""The one matrix of pinned versions. A test compares every other place that repeats one of them."""

from __future__ import annotations

from types import MappingProxyType

VERSIONS = MappingProxyType(
    {
        "kubernetes": "1.34",
        "kuberay": "1.6.2",
        "karpenter": "1.14.1",
        "aws-load-balancer-controller": "2.13.4",
        "keda": "2.17.2",
        # The chart, and the operator that is in it.
        "kube-prometheus-stack": "77.11.1",
        "prometheus-operator": "0.85.0",
        "nvidia-device-plugin": "0.18.2",
        "ray": "2.60.0",
        "python": "3.11",
        "torch": "2.15.0",
        "mlflow": "3.17.2",
        "pulumi": "3.259.0",
        "pulumi-aws": "7.51.1",
        "pulumi-kubernetes": "4.34.2",
        "pulumi-policy": "1.21.0",
    }
)
KUBERAY = VERSIONS["kuberay"]
RAY = VERSIONS["ray"]
