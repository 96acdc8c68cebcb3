"""Whether requests reach an endpoint: open ports between its pods, and what stands before it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from policies.facts import RAY_DASHBOARD, RAY_GCS, SERVE_PORT, SPOT_NOTICE_S
from policies.rule import About, Finding, Resource, Stack
from policies.security_reach import INGRESS, NETWORK_POLICY, SERVICE
from policies.selectors import matches
from policies.values import Values, at, entries, items, number, plain, section

# What KubeRay puts on every Ray pod, and the ports on which a pod of that role must be reached.
_ROLES: Mapping[str, tuple[Mapping[str, str], tuple[int, ...]]] = {
    "head": ({"ray.io/is-ray-node": "yes", "ray.io/node-type": "head"}, (RAY_GCS, RAY_DASHBOARD, SERVE_PORT)),
    "worker": ({"ray.io/is-ray-node": "yes", "ray.io/node-type": "worker"}, (SERVE_PORT,)),
}
_HEALTH = (
    "service.beta.kubernetes.io/aws-load-balancer-healthcheck-path",
    "alb.ingress.kubernetes.io/healthcheck-path",
)
_ATTRIBUTES = (
    "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes",
    "alb.ingress.kubernetes.io/target-group-attributes",
)
_DELAY = re.compile(r"deregistration_delay\.timeout_seconds=(\d+)")
# Ray Serve's proxy answers it with 200 while it has replicas to send requests to.
_HEALTHY_PATH, _LEAST_DELAY_S = "/-/healthz", 30


@About(
    "serve-ports-open", "serving", "high",
    "Behind a default of deny, a port that nobody opened hangs Ray without an error.",
    "open 6379, 8265 and 8000 of the head and 8000 of the workers in a NetworkPolicy that selects ray.io/is-ray-node",
).stack()  # fmt: skip
def ports_open(stack: Stack) -> Iterator[Finding]:
    policies = [policy for policy in stack.of(NETWORK_POLICY) if section(policy.props, "spec")]
    if stack.layer != "platform" or len(policies) < len(stack.of(NETWORK_POLICY)):
        return  # in the preview of a cluster that is yet to be made its objects have no properties
    namespaces = {str(at(policy.props, "metadata", "namespace")) for policy in policies if _is_about_ray(policy)}
    if policies and not namespaces:
        yield Finding("no NetworkPolicy opens anything to Ray's pods")
    for namespace in sorted(namespaces):
        here = [policy for policy in policies if at(policy.props, "metadata", "namespace") == namespace]
        for role, (labels, ports) in _ROLES.items():
            if closed := [str(port) for port in ports if not any(_opens(policy, labels, port) for policy in here)]:
                yield Finding(f"namespace {namespace}: nothing reaches port {', '.join(closed)} of the {role}")


@About(
    "serve-load-balancer", "serving", "high",
    "A load balancer that asks another path, or lets go too early, sends requests to proxies that are draining.",
    f"set its health check path to {_HEALTHY_PATH} and deregistration_delay.timeout_seconds between {_LEAST_DELAY_S} "
    f"and {SPOT_NOTICE_S}",
).resources(SERVICE, INGRESS)  # fmt: skip
def load_balancer(resource: Resource) -> Iterator[str]:
    if not _publishes_serve(resource):
        return
    annotations = section(resource.props, "metadata", "annotations")
    path = next((str(annotations[name]) for name in _HEALTH if name in annotations), None)
    if path != _HEALTHY_PATH:
        yield f"its health check path is {path or 'not set'}, not {_HEALTHY_PATH}"
    given = " ".join(str(annotations[name]) for name in _ATTRIBUTES if name in annotations)
    delay = _DELAY.search(given)
    if delay is None:
        yield "deregistration_delay.timeout_seconds is not set, and AWS's own is 300 s: longer than a drained pod lives"
    elif not _LEAST_DELAY_S <= int(delay[1]) <= SPOT_NOTICE_S:
        yield f"deregistration_delay.timeout_seconds is {delay[1]}, not within {_LEAST_DELAY_S} and {SPOT_NOTICE_S}"


def _publishes_serve(resource: Resource) -> bool:
    spec = section(resource.props, "spec")
    if resource.type == SERVICE:
        return at(spec, "type") == "LoadBalancer" and any(
            _is_serve(at(port, "port")) or _is_serve(at(port, "targetPort")) for port in entries(spec, "ports")
        )
    paths = [path for rule in entries(spec, "rules") for path in entries(rule, "http", "paths")]
    backends = [section(path, "backend", "service", "port") for path in paths]
    backends.append(section(spec, "defaultBackend", "service", "port"))
    return any(_is_serve(at(port, "number")) or _is_serve(at(port, "name")) for port in backends)


def _is_serve(port: object) -> bool:
    return number(port) == SERVE_PORT or plain(port) == "serve"


def _is_about_ray(policy: Resource) -> bool:
    selector = section(policy.props, "spec", "podSelector")
    return bool(selector) and any(matches(selector, labels) for labels, _ in _ROLES.values())


def _opens(policy: Resource, labels: Mapping[str, str], port: int) -> bool:
    spec: Values = section(policy.props, "spec")
    return matches(section(spec, "podSelector"), labels) and any(
        not items(rule, "ports") or any(_covers(entry, port) for entry in entries(rule, "ports"))
        for rule in entries(spec, "ingress")
    )


def _covers(entry: Values, port: int) -> bool:
    first, last = number(at(entry, "port")), number(at(entry, "endPort"))
    return first is None or first <= port <= (first if last is None else last)
