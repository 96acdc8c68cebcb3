"""A standing Ray cluster belongs into a workbench stack, and an endpoint is published over TLS to whom it is for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.manifests import BENCH_SHAPES, demand_manifests, ray_cluster, ray_ingress
from tests.unit.policies.analyzer import Analyzer, changed
from tests.unit.policies.good import bent, kind

BENCH = ray_cluster("as in the repository")
WORKERS = "spec/workerGroupSpecs/0"
SAID = "metadata/annotations/alb.ingress.kubernetes.io~"
# Rule, annotation, its value (None takes it out), and words of the message.
BROKEN: list[tuple[str, str, str | None, str]] = [
    ("ingress-tls", "listen-ports", '[{"HTTP": 80}, {"HTTPS": 443}]', "it listens on"),
    ("ingress-tls", "listen-ports", None, "it listens on HTTP"),
    ("ingress-tls", "certificate-arn", None, "it names no certificate"),
    ("ingress-tls", "ssl-policy", None, "AWS then takes TLS 1.0"),
    ("ingress-tls", "ssl-policy", "ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-2016-08"),
    ("ingress-narrow", "scheme", "internet-facing", "lets everybody in"),
]
OPEN = {
    "apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "IngressClassParams", "metadata": {"name": "x"},
    "spec": {"scheme": "internet-facing", "inboundCIDRs": ["0.0.0.0/0"]},
}  # fmt: skip


def broken(analyzer: Analyzer, stack: str, manifest: dict[str, Any]) -> dict[str, str]:
    analyzer.configure(stack)
    return {each.rule: each.message for each in analyzer.resource(kind(manifest), manifest)}


@pytest.mark.parametrize("shape", BENCH_SHAPES)
def test_the_workbench_of_the_repository_breaks_no_rule(running: Analyzer, shape: str) -> None:
    assert broken(running, "workbench-dev", ray_cluster(shape)) == {}


@pytest.mark.parametrize(
    ("stack", "words"),
    [
        ("workbench-prod", "a workbench runs whatever anyone submits to it"),
        ("workbench-prod-anna", "a workbench runs whatever anyone submits to it"),
        ("train-dev", "a bare RayCluster has no run or endpoint"),
        ("serve-prod", "a bare RayCluster has no run or endpoint"),
    ],
)
def test_a_standing_cluster_elsewhere_is_nobodys(running: Analyzer, stack: str, words: str) -> None:
    assert words in broken(running, stack, BENCH)["ray-managed"]


@pytest.mark.parametrize(
    ("path", "value", "rule", "words"),
    [
        ("spec/enableInTreeAutoscaling", None, "cost-idle", "never gives its workers back"),
        (f"{WORKERS}/minReplicas", 2, "cost-idle", "minReplicas 2 keeps GPUs whether anybody works or not"),
        ("spec/autoscalerOptions/idleTimeoutSeconds", 7200, "cost-idle", "idle workers stay for 7200 s"),
        (f"{WORKERS}/maxReplicas", 9, "cost-gpu-ceiling", "up to 9 GPUs, and dev may have 8"),
        ("spec/authOptions/mode", "disabled", "ray-token-auth", "mode is disabled"),
        ("spec/headGroupSpec/serviceType", "LoadBalancer", "ray-private-ports", "of type LoadBalancer"),
        ("spec/headGroupSpec/enableIngress", True, "ray-private-ports", "makes the dashboard public"),
        ("spec/headGroupSpec/template/spec/nodeSelector", None, "spot-head-on-demand", "spot instance"),
    ],
)
def test_what_makes_a_workbench_dear_or_open_is_found(
    running: Analyzer, path: str, value: Any, rule: str, words: str
) -> None:
    assert words in broken(running, "workbench-dev", bent(BENCH, path, value))[rule]


@pytest.mark.parametrize("manifest", demand_manifests(), ids=lambda manifest: manifest["kind"])
def test_what_keda_scales_breaks_no_rule(running: Analyzer, manifest: dict[str, Any]) -> None:
    assert broken(running, "workbench-dev", manifest) == {}


def test_the_ingress_of_the_repository_breaks_no_rule_in_production(running: Analyzer) -> None:
    assert broken(running, "serve-prod", ray_ingress()) == {}


@pytest.mark.parametrize(("rule", "name", "value", "words"), BROKEN)
def test_an_open_way_in_is_found(running: Analyzer, rule: str, name: str, value: Any, words: str) -> None:
    assert words in broken(running, "serve-prod", changed(ray_ingress(), f"{SAID}{name}", value))[rule]


def test_the_internet_by_name_is_found_and_a_list_is_not(running: Analyzer) -> None:
    facing = changed(ray_ingress(), f"{SAID}scheme", "internet-facing")
    named = changed(facing, f"{SAID}inbound-cidrs", "203.0.113.0/24, 198.51.100.0/24")
    assert broken(running, "serve-prod", named) == {}
    anybody = changed(facing, f"{SAID}inbound-cidrs", "203.0.113.0/24, 0.0.0.0/0")
    assert "ingress-narrow" in broken(running, "serve-prod", anybody)
    assert "ingress-narrow" in broken(running, "platform-prod", OPEN)


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"name": "digits-head-svc", "port": {"number": 8265}}, "an Ingress leads to port 8265 of digits-head-svc"),
        ({"name": "digits-head-svc", "port": {"number": 8000}}, "an Ingress leads to the head, digits-head-svc"),
        ({"name": "digits-serve-svc", "port": {"name": "dashboard"}}, "an Ingress leads to port dashboard"),
    ],
)
def test_the_dashboard_is_never_behind_an_ingress(running: Analyzer, service: dict[str, Any], words: str) -> None:
    manifest = changed(ray_ingress(), "spec/rules/0/http/paths/0/backend/service", service)
    assert words in broken(running, "serve-prod", manifest)["ray-private-ports"]
