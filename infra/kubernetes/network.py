"""Default-deny NetworkPolicies with the openings that Ray needs; without one of them Ray hangs rather than fails.

KubeRay 1.6 writes none itself. Where the network plugin enforces none, they are accepted and have no effect.
"""

from __future__ import annotations

from typing import Any

from infra.kubernetes import keda
from infra.kubernetes.kuberay import METRICS_PORT, OPERATOR_LABELS, PROBE_PORT
from infra.monitoring.monitors import PART
from infra.ray.cluster import AUTOSCALER_METRICS_PORT, DASHBOARD_METRICS_PORT, HEAD_PORTS, ROLE_LABEL
from infra.ray.demand import ROLE as DEMAND
from infra.ray.job import SUBMITTER
from infra.ray.schedule import ROLE as SCHEDULE
from infra.settings.platform import NetworkSettings, PlatformSettings

# KubeRay sets this label on every Ray pod and lets nobody override it.
RAY_PODS = {"ray.io/is-ray-node": "yes"}
DASHBOARD, SERVE, AGENT, S3, MLFLOW = 8265, 8000, 52365, 9000, 5000
HTTPS, AGENT_HTTP, POSTGRES = 443, 80, 5432
GCS = HEAD_PORTS["gcs-server"]
RAY_METRICS = (HEAD_PORTS["metrics"], AUTOSCALER_METRICS_PORT, DASHBOARD_METRICS_PORT)
Rule = dict[str, Any]


def network_manifests(settings: PlatformSettings, net: NetworkSettings) -> dict[str, dict[str, Any]]:
    """Every policy of the platform, by Pulumi name."""
    ray, system = settings.namespace, settings.system_namespace
    nodes = _blocks(net.nodes)
    api = _rule("to", _blocks(net.api_server), *net.api_server_ports)
    ray_pods, s3, mlflow = _pods(ray, RAY_PODS), _pods(system, {"app": "s3"}), _pods(system, {"app": "mlflow"})
    uploads = _pods(ray, {ROLE_LABEL: "upload"})
    storage = _storage(net, s3)
    own = {} if net.cloud else _own_storage(system, nodes, [ray_pods, uploads, mlflow], s3)
    records = [_rule("to", _blocks(net.database), POSTGRES)] if net.database else []
    watchers = [_pods(system, PART)] if settings.monitoring else []
    demand = [_pods(ray, {ROLE_LABEL: DEMAND})] if settings.keda else []
    return {
        "ray-deny": _policy("default-deny", ray, {}, [], []),
        "system-deny": _policy("default-deny", system, {}, [], []),
        "ray-dns": _policy("dns", ray, {}, None, [_dns(net)]),
        "system-dns": _policy("dns", system, {}, None, [_dns(net)]),
        "ray-cluster": _policy(
            "ray-cluster",
            ray,
            RAY_PODS,
            [
                _rule("from", [ray_pods]),
                _rule("from", [_pods(ray, {ROLE_LABEL: SUBMITTER})], DASHBOARD),
                _rule("from", [_pods(system, OPERATOR_LABELS)], DASHBOARD, SERVE, AGENT),
                # The kubelet's probes, the API server's proxy and what publishes the two Services come from the nodes.
                _rule("from", nodes, DASHBOARD, SERVE, AGENT),
                *([_rule("from", demand, GCS)] if demand else []),
                *([_rule("from", watchers, *RAY_METRICS)] if watchers else []),
            ],
            [_rule("to", [ray_pods]), *storage, _rule("to", [mlflow], MLFLOW), api],
        ),
        "ray-submitter": _policy(
            "ray-submitter", ray, {ROLE_LABEL: SUBMITTER}, None, [_rule("to", [ray_pods], DASHBOARD)]
        ),
        "ray-schedule": _policy("run-schedule", ray, {ROLE_LABEL: SCHEDULE}, [], [api]),
        "ray-upload": _policy("bundle-upload", ray, {ROLE_LABEL: "upload"}, None, storage),
        "operator": _policy(
            "kuberay-operator",
            system,
            OPERATOR_LABELS,
            [_rule("from", [*nodes, *watchers], METRICS_PORT, PROBE_PORT)],
            [api, _rule("to", [ray_pods], DASHBOARD, SERVE, AGENT)],
        ),
        **own,
        **(_keda(net, ray, system, ray_pods, api) if settings.keda else {}),
        **(_monitoring(net, system, ray_pods, api) if settings.monitoring else {}),
        "mlflow": _policy(
            "mlflow",
            system,
            {"app": "mlflow"},
            [_rule("from", [ray_pods], MLFLOW), _rule("from", nodes, MLFLOW)],
            [*storage, *records],
        ),
    }


def _storage(net: NetworkSettings, s3: Rule) -> list[Rule]:
    """The way to object storage, and to who says as whom."""
    if not net.cloud:
        return [_rule("to", [s3], S3)]
    agent = [_rule("to", _blocks([net.identity_agent]), AGENT_HTTP)] if net.identity_agent else []
    return [_rule("to", _blocks(net.cloud), HTTPS), *agent]


def _own_storage(system: str, nodes: list[Rule], users: list[Rule], s3: Rule) -> dict[str, dict[str, Any]]:
    maker = {"app": "s3-bucket"}
    return {
        "s3": _policy(
            "s3",
            system,
            {"app": "s3"},
            [_rule("from", [*users, _pods(system, maker)], S3), _rule("from", nodes, S3)],
            [],
        ),
        "s3-bucket": _policy("s3-bucket", system, maker, None, [_rule("to", [s3], S3)]),
    }


def _keda(net: NetworkSettings, ray: str, system: str, ray_pods: Rule, api: Rule) -> dict[str, dict[str, Any]]:
    """KEDA's three parts; the API server asks two of them. And the pods that it scales, which talk to Ray alone."""
    nodes = _blocks(net.nodes)
    parts = {name: {"app": name} for name in (keda.OPERATOR, keda.METRICS, keda.WEBHOOKS)}
    operator, metrics = _pods(system, parts[keda.OPERATOR]), _pods(system, parts[keda.METRICS])
    probes = (8080, 8081)
    return {
        "keda-operator": _policy(
            "keda-operator",
            system,
            parts[keda.OPERATOR],
            [_rule("from", [metrics], keda.GRPC), _rule("from", nodes, *probes)],
            [api, *(_storage(net, {}) if net.cloud else [])],
        ),
        "keda-metrics": _policy(
            "keda-metrics",
            system,
            parts[keda.METRICS],
            [_rule("from", nodes, keda.METRICS_HTTPS, *probes)],
            [api, _rule("to", [operator], keda.GRPC)],
        ),
        "keda-webhooks": _policy(
            "keda-webhooks",
            system,
            parts[keda.WEBHOOKS],
            [_rule("from", nodes, keda.WEBHOOKS_HTTPS, *probes)],
            [api],
        ),
        "ray-demand": _policy("ray-demand", ray, {ROLE_LABEL: DEMAND}, [], [_rule("to", [ray_pods], GCS)]),
    }


def _monitoring(net: NetworkSettings, system: str, ray_pods: Rule, api: Rule) -> dict[str, dict[str, Any]]:
    """All parts of monitoring reach each other and what they measure; people reach them by port-forward."""
    nodes, parts = _blocks(net.nodes), _pods(system, PART)
    measured = [
        _rule("to", [ray_pods], *RAY_METRICS),
        _rule("to", [_pods(system, OPERATOR_LABELS)], METRICS_PORT),
        # The kubelets; on AWS Karpenter's pods too, whose addresses are of the same ranges.
        _rule("to", nodes),
    ]
    # Who is told of alerts.
    out = [_rule("to", _blocks(net.cloud), HTTPS)] if net.cloud else []
    policy = _policy(
        "monitoring",
        system,
        PART,
        [_rule("from", [parts]), _rule("from", nodes)],
        [_rule("to", [parts]), api, *measured, *out],
    )
    return {"monitoring": policy}


def _policy(
    name: str, namespace: str, selector: dict[str, str], ingress: list[Rule] | None, egress: list[Rule] | None
) -> dict[str, Any]:
    """None leaves a direction to the other policies; an empty list opens nothing in it."""
    spec: dict[str, Any] = {"podSelector": {"matchLabels": selector} if selector else {}, "policyTypes": []}
    for direction, rules in (("Ingress", ingress), ("Egress", egress)):
        if rules is not None:
            spec["policyTypes"].append(direction)
            if rules:
                spec[direction.lower()] = rules
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _rule(direction: str, peers: list[Rule], *ports: int) -> Rule:
    """Without ports: all of them."""
    rule: Rule = {direction: peers}
    return {**rule, "ports": [{"protocol": "TCP", "port": port} for port in ports]} if ports else rule


def _pods(namespace: str, labels: dict[str, str]) -> Rule:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": labels},
    }


def _blocks(networks: list[str]) -> list[Rule]:
    return [{"ipBlock": {"cidr": network}} for network in networks]


def _dns(net: NetworkSettings) -> Rule:
    peer = _pods("kube-system", {"k8s-app": "kube-dns"}) if net.dns == "pods" else {"ipBlock": {"cidr": net.dns}}
    return {"to": [peer], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
