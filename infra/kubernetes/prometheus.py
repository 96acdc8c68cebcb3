"""The Prometheus operator with one Prometheus and one Alertmanager, as manifests: for machines that reach no Helm
repository. On AWS the official chart brings the same operator. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi

from infra.kubernetes.security import USER, container_context, pod_context, resources
from infra.monitoring.monitors import LABELS, PART

OPERATOR, SERVER, ALERTS = "prometheus-operator", "prometheus", "alertmanager"
PROMETHEUS_PORT, ALERTMANAGER_PORT, OPERATOR_PORT = 9090, 9093, 8080
# What the images hold, and the operator was made for; it renders flags and configuration for them.
PROMETHEUS_VERSION, ALERTMANAGER_VERSION = "3.5.0", "0.28.1"
_GROUP = "monitoring.coreos.com"
_KINDS = (
    "alertmanagerconfigs", "alertmanagers", "podmonitors", "probes", "prometheusagents", "prometheuses",
    "prometheusrules", "scrapeconfigs", "servicemonitors", "thanosrulers",
)  # fmt: skip

_READ = ("get", "list", "watch")


@dataclass(frozen=True)
class PrometheusArgs:
    """`namespace` is where all of it stands, `watched` where else targets are. Images by digest."""

    namespace: str
    watched: str
    operator: pulumi.Input[str]
    reloader: pulumi.Input[str]
    prometheus: pulumi.Input[str]
    alertmanager: pulumi.Input[str]
    retention_days: int
    memory: str


def rbac_manifests(namespace: str, watched: str) -> dict[str, dict[str, Any]]:
    """The operator acts in its namespace and reads monitors there alone; Prometheus finds targets in both."""
    kinds = [word for kind in _KINDS for word in (kind, f"{kind}/finalizers", f"{kind}/status")]
    owned = ["configmaps", "secrets", "services", "services/finalizers"]
    operator = [
        _rule(_GROUP, kinds, "*"),
        _rule("apps", ["statefulsets"], "*"),
        _rule("", owned, *_READ, "create", "update", "patch", "delete"),
        _rule("", ["pods"], "list", "watch", "delete"),
        _rule("", ["persistentvolumeclaims"], *_READ),
        _rule("", ["events"], "create", "patch"),
        _rule("events.k8s.io", ["events"], "create", "patch"),
    ]
    # What belongs to no namespace.
    cluster = [_rule("", ["namespaces"], *_READ), _rule("storage.k8s.io", ["storageclasses"], *_READ)]
    found = [
        _rule("", ["services", "endpoints", "pods"], *_READ),
        _rule("discovery.k8s.io", ["endpointslices"], *_READ),
    ]
    made: dict[str, dict[str, Any]] = {
        "monitoring-operator-account": _account(OPERATOR, namespace),
        "monitoring-server-account": _account(SERVER, namespace),
        "monitoring-operator": _role("ClusterRole", OPERATOR, None, cluster),
        "monitoring-operator-binding": _binding("ClusterRole", OPERATOR, None, OPERATOR, namespace),
        "monitoring-operator-own": _role("Role", OPERATOR, namespace, operator),
        "monitoring-operator-own-binding": _binding("Role", OPERATOR, namespace, OPERATOR, namespace),
    }
    for where in (namespace, watched):
        made[f"monitoring-targets-{where}"] = _role("Role", SERVER, where, found)
        made[f"monitoring-targets-{where}-binding"] = _binding("Role", SERVER, where, SERVER, namespace)
    return made


def operator_manifest(args: PrometheusArgs) -> dict[str, Any]:
    labels = {"app": OPERATOR}
    flags: list[pulumi.Input[str]] = [
        f"--namespaces={args.namespace}",
        "--kubelet-service=",
        "--kubelet-endpoints=false",
        # The only one of its images that it chooses by itself.
        pulumi.Output.concat("--prometheus-config-reloader=", args.reloader),
        "--config-reloader-cpu-request=10m",
        "--config-reloader-cpu-limit=100m",
        "--config-reloader-memory-request=32Mi",
        "--config-reloader-memory-limit=64Mi",
    ]
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5}
    container: dict[str, Any] = {
        "name": OPERATOR,
        "image": args.operator,
        "imagePullPolicy": "IfNotPresent",
        "args": flags,
        "env": [{"name": "GOGC", "value": "50"}],
        "ports": [{"name": "http", "containerPort": OPERATOR_PORT}],
        "livenessProbe": {**probe, "initialDelaySeconds": 10},
        "readinessProbe": probe,
        "resources": resources("20m", "64Mi", "500m", "256Mi"),
        "securityContext": container_context(read_only=True),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": OPERATOR, "namespace": args.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": {**labels, **PART}},
                "spec": {
                    "serviceAccountName": OPERATOR,
                    "automountServiceAccountToken": True,
                    "enableServiceLinks": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "terminationGracePeriodSeconds": 10,
                    "containers": [container],
                },
            },
        },
    }


def server_manifests(args: PrometheusArgs) -> dict[str, dict[str, Any]]:
    """What the operator makes a Prometheus and an Alertmanager of; both keep their data as long as their pod lives."""
    ours = {"matchLabels": dict(LABELS)}
    common = {
        "replicas": 1,
        "securityContext": pod_context(USER),
        "logLevel": "warn",
        "podMetadata": {"labels": dict(PART)},
    }
    server = {
        **common,
        "image": args.prometheus,
        "version": PROMETHEUS_VERSION,
        "serviceAccountName": SERVER,
        "serviceMonitorSelector": ours,
        "podMonitorSelector": ours,
        "ruleSelector": ours,
        "retention": f"{args.retention_days}d",
        "retentionSize": "4GB",
        "scrapeInterval": "15s",
        "evaluationInterval": "15s",
        "enableAdminAPI": False,
        "resources": resources("50m", "256Mi", "1", args.memory),
        "storage": {"emptyDir": {"sizeLimit": "6Gi"}},
        "alerting": {"alertmanagers": [{"namespace": args.namespace, "name": "alertmanager-operated", "port": "web"}]},
    }
    alerts = {
        **common,
        "image": args.alertmanager,
        "version": ALERTMANAGER_VERSION,
        "resources": resources("20m", "64Mi", "500m", "256Mi"),
        "alertmanagerConfigSelector": ours,
    }
    return {
        "monitoring-server": _custom("Prometheus", SERVER, args.namespace, server),
        "monitoring-alerts": _custom("Alertmanager", ALERTS, args.namespace, alerts),
        "monitoring-server-service": _service(
            SERVER, args.namespace, {"app.kubernetes.io/name": "prometheus"}, PROMETHEUS_PORT
        ),
        "monitoring-alerts-service": _service(
            ALERTS, args.namespace, {"app.kubernetes.io/name": "alertmanager"}, ALERTMANAGER_PORT
        ),
    }


def _custom(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{_GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _service(name: str, namespace: str, selector: dict[str, str], port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": name},
            # The operator makes the pods after its custom resource was accepted; nothing waits for them here.
            "annotations": {"pulumi.com/skipAwait": "true"},
        },
        "spec": {"selector": selector, "ports": [{"name": "web", "port": port, "targetPort": port}]},
    }


def _rule(group: str, kinds: list[str], *verbs: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": kinds, "verbs": list(verbs)}


def _account(name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _role(kind: str, name: str, namespace: str | None, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "rules": rules,
    }


def _binding(kind: str, role: str, namespace: str | None, account: str, home: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": role, **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
    }
