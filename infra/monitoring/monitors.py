"""What Prometheus scrapes, as the ServiceMonitors and PodMonitors that its operator reads. Pure.

Every target's `job` is a name of ours, the same on AWS and here, so that an alert knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from infra.kubernetes.kuberay import OPERATOR_LABELS
from infra.monitoring.rule import API
from infra.ray.cluster import RUN_LABEL, STACK_LABEL

# Ours are the only monitors that our Prometheus reads, wherever else in the cluster there are some.
LABELS = {"manta/monitored": "yes"}
# Of every pod that belongs to monitoring: network policies know it by this.
PART = {"manta/role": "monitoring"}
# KubeRay labels every Ray pod so, whatever the cluster is called; the policy pack asks for the same.
_RAY = {"ray.io/is-ray-node": "yes", "app.kubernetes.io/name": "kuberay"}
# Labels of the pods that become labels of their series: whose they are.
_POD_LABELS = ["ray.io/cluster", "ray.io/node-type", STACK_LABEL, RUN_LABEL]
INTERVAL = "15s"


def ray_monitors(system: str, watched: str) -> dict[str, dict[str, Any]]:
    """Heads at their own, the autoscaler's and the dashboard's port, workers at theirs, with Serve's metrics."""
    return {
        "ray-heads": _pods(
            "ray-head", system, watched, {**_RAY, "ray.io/node-type": "head"}, ["metrics", "as-metrics", "dash-metrics"]
        ),
        "ray-workers": _pods("ray-worker", system, watched, {**_RAY, "ray.io/node-type": "worker"}, ["metrics"]),
    }


def operator_monitor(system: str) -> dict[str, Any]:
    """KubeRay names what it speaks of by `name` and `namespace`, which must not be taken for its own pod's."""
    return _pods("kuberay-operator", system, system, OPERATOR_LABELS, ["metrics"], honor_labels=True)


def server_monitor(system: str) -> dict[str, Any]:
    """Prometheus on itself; the chart brings its own."""
    return _pods("prometheus", system, system, {"app.kubernetes.io/name": "prometheus"}, ["web"])


def karpenter_monitor(system: str, namespace: str) -> dict[str, Any]:
    """By the Service of its chart."""
    manifest = _manifest("ServiceMonitor", "karpenter", system)
    manifest["spec"] = {
        "namespaceSelector": {"matchNames": [namespace]},
        "selector": {"matchLabels": {"app.kubernetes.io/name": "karpenter"}},
        "endpoints": [_endpoint("karpenter", "http-metrics", honor_labels=True)],
    }
    return manifest


def _pods(
    job: str,
    own: str,
    namespace: str,
    labels: dict[str, str],
    ports: Sequence[str],
    *,
    honor_labels: bool = False,
) -> dict[str, Any]:
    manifest = _manifest("PodMonitor", job, own)
    manifest["spec"] = {
        "namespaceSelector": {"matchNames": [namespace]},
        "selector": {"matchLabels": dict(labels)},
        "podTargetLabels": list(_POD_LABELS),
        "podMetricsEndpoints": [_endpoint(job, port, honor_labels=honor_labels) for port in ports],
    }
    return manifest


def _endpoint(job: str, port: str, *, honor_labels: bool) -> dict[str, Any]:
    endpoint: dict[str, Any] = {
        "port": port,
        "interval": INTERVAL,
        "relabelings": [
            {"targetLabel": "job", "replacement": job, "action": "replace"},
            {"targetLabel": "endpoint", "replacement": port, "action": "replace"},
        ],
    }
    return {**endpoint, "honorLabels": True} if honor_labels else endpoint


def _manifest(kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(LABELS)},
    }
