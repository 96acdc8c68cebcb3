"""Who can reach what over the network of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from policies.facts import PRIVATE_PORTS
from policies.pods import RAY, cluster_of
from policies.rule import About, Finding, Resource, Stack
from policies.values import Values, at, entries, items, number, plain, section

SERVICE, INGRESS = "kubernetes:core/v1:Service", "kubernetes:networking.k8s.io/v1:Ingress"
NAMESPACE, NETWORK_POLICY = "kubernetes:core/v1:Namespace", "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_PORT_NAMES = ("dashboard", "client", "gcs-server", "gcs", "redis")
_OUTSIDE = ("LoadBalancer", "NodePort")
INGRESS_PARAMETERS = "kubernetes:elbv2.k8s.aws/v1beta1:IngressClassParams"
_ALB = "alb.ingress.kubernetes.io/"


@About(
    "ray-private-ports", "security", "critical",
    "Whoever reaches Ray's dashboard, client or GCS port owns the cluster and its role.",
    "leave ports 8265, 10001 and 6379 on Services of type ClusterIP and out of every Ingress",
).resources(SERVICE, INGRESS, *RAY)  # fmt: skip
def private_ports(resource: Resource) -> Iterator[str]:
    if resource.type == SERVICE:
        yield from _service("it", section(resource.props, "spec"))
    elif resource.type == INGRESS:
        for rule in entries(resource.props, "spec", "rules"):
            for path in entries(rule, "http", "paths"):
                yield from _backend(section(path, "backend", "service"))
        yield from _backend(section(resource.props, "spec", "defaultBackend", "service"))
    else:
        head = section(cluster_of(resource), "headGroupSpec")
        for kind in (at(head, "serviceType"), at(head, "headService", "spec", "type")):
            if kind in _OUTSIDE:
                yield f"the head's Service is of type {kind}"
        if at(head, "enableIngress") is True:
            yield "enableIngress makes the dashboard public"
        serve = section(resource.props, "spec", "serveService", "spec")
        yield from _service("serveService", serve)


@About(
    "ingress-tls", "security", "critical",
    "What comes in without TLS can be read and changed on its way.",
    "listen on HTTPS alone, with the ARN of a certificate, and by TLS 1.2 or newer",
).resources(INGRESS)  # fmt: skip
def ingress_tls(resource: Resource) -> Iterator[str]:
    said = section(resource.props, "metadata", "annotations")
    if "HTTPS" not in str(at(said, f"{_ALB}listen-ports")) or '"HTTP"' in str(at(said, f"{_ALB}listen-ports")):
        yield f"it listens on {at(said, f'{_ALB}listen-ports') or 'HTTP'}"
    if not at(said, f"{_ALB}certificate-arn"):
        yield "it names no certificate"
    policy = str(at(said, f"{_ALB}ssl-policy") or "")
    if not policy.startswith("ELBSecurityPolicy-TLS13-1-"):
        yield f"ssl-policy is {policy or 'not set, and AWS then takes TLS 1.0'}"


@About(
    "ingress-narrow", "security", "high",
    "A load balancer that the whole internet reaches is found by it within the hour, and Serve asks nobody who he is.",
    "leave the scheme internal, or list the networks that may reach it",
).resources(INGRESS, INGRESS_PARAMETERS)  # fmt: skip
def ingress_narrow(resource: Resource) -> Iterator[str]:
    if resource.type == INGRESS:
        said = section(resource.props, "metadata", "annotations")
        scheme, networks = at(said, f"{_ALB}scheme"), str(at(said, f"{_ALB}inbound-cidrs") or "").split(",")
    else:
        spec = section(resource.props, "spec")
        scheme, networks = at(spec, "scheme"), [str(network) for network in items(spec, "inboundCIDRs")]
    named = {network.strip() for network in networks} - {""}
    if scheme == "internet-facing" and (not named or named & {"0.0.0.0/0", "::/0"}):
        yield "it faces the internet and lets everybody in"


@About(
    "network-default-deny", "security", "high",
    "Without a default, every pod talks to every other, and a foothold in one is a foothold in all.",
    "add a NetworkPolicy with an empty podSelector, both policyTypes and no rules to the namespace",
).stack()  # fmt: skip
def default_deny(stack: Stack) -> Iterator[Finding]:
    closed = {
        at(policy.props, "metadata", "namespace")
        for policy in stack.of(NETWORK_POLICY)
        if _denies(section(policy.props, "spec"))
    }
    # In the preview of a cluster that is yet to be made its objects have no properties; `up` judges them.
    if any(not policy.props.get("spec") for policy in stack.of(NETWORK_POLICY)):
        return
    for namespace in stack.of(NAMESPACE):
        name = at(namespace.props, "metadata", "name") or namespace.name
        if name not in closed:
            yield Finding(f"namespace {name} has no NetworkPolicy that denies by default", namespace.urn)


@About(
    "namespaces-enforce-restricted", "security", "high",
    "What the policies do not see, an operator or a person makes: only the namespace itself can refuse it.",
    "label the namespace pod-security.kubernetes.io/enforce: restricted",
).resources(NAMESPACE)  # fmt: skip
def namespaces_enforce(resource: Resource) -> Iterator[str]:
    level = at(resource.props, "metadata", "labels", "pod-security.kubernetes.io/enforce")
    if level != "restricted":
        yield f"pod-security.kubernetes.io/enforce is {level or 'not set'}"


def _service(where: str, spec: Values) -> Iterator[str]:
    if at(spec, "type") not in _OUTSIDE:
        return
    for port in entries(spec, "ports"):
        numbers = {number(at(port, key)) for key in ("port", "targetPort")}
        if numbers & set(PRIVATE_PORTS) or at(port, "targetPort") in _PORT_NAMES:
            yield f"{where} publishes port {plain(at(port, 'port'))} as {at(spec, 'type')}"


def _backend(service: Values) -> Iterator[str]:
    port, name = section(service, "port"), str(at(service, "name"))
    if name.endswith("-head-svc"):
        yield f"an Ingress leads to the head, {name}"
    if number(at(port, "number")) in PRIVATE_PORTS or at(port, "name") in _PORT_NAMES:
        yield f"an Ingress leads to port {plain(at(port, 'number') or at(port, 'name'))} of {at(service, 'name')}"


def _denies(spec: Values) -> bool:
    kinds = set(items(spec, "policyTypes"))
    empty = not section(spec, "podSelector")
    return empty and kinds == {"Ingress", "Egress"} and not items(spec, "ingress") and not items(spec, "egress")
