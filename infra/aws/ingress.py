"""The AWS Load Balancer Controller, from its official chart: Ingresses of the Ray namespace become load balancers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.aws.access import AccessArgs, PodAccess
from infra.aws.cluster import Cluster
from infra.aws.ingress_policy import statements
from infra.aws.naming import Place
from infra.aws.network import Network
from infra.aws.system_nodes import ON_SYSTEM_NODES
from infra.kubernetes.charts import source
from infra.kubernetes.security import resources
from infra.settings.aws_ingress import IngressSettings
from infra.settings.aws_network import NetworkSettings
from infra.versions import VERSIONS

NAME = "aws-load-balancer-controller"
NAMESPACE, ACCOUNT = "kube-system", NAME
CLASS = "manta"
# Shorter than the 90 s for which Serve keeps an idle connection open: the side that closes first must be the load
# balancer, or it sends a request into a connection that is just being closed, and answers 502.
IDLE_SECONDS = 60


@dataclass(frozen=True)
class IngressArgs:
    """`watched` is the one namespace whose Ingresses it acts on."""

    place: Place
    settings: IngressSettings
    ranges: NetworkSettings
    cluster: Cluster
    network: Network
    watched: str


def chart_version() -> str:
    """The chart counts as the controller does, with 1 for its 2."""
    return f"1.{VERSIONS[NAME].partition('.')[2]}"


def class_parameters(settings: IngressSettings, ranges: NetworkSettings, watched: str) -> dict[str, Any]:
    """What no annotation of an Ingress can change: who may use the class, and who may connect."""
    inside = [ranges.cidr, *([ranges.pod_cidr] if ranges.pod_cidr else [])]
    attributes = {
        "idle_timeout.timeout_seconds": str(IDLE_SECONDS),
        # Headers that no HTTP library would write are how requests are smuggled past a proxy.
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": watched}},
        "scheme": settings.scheme,
        "inboundCIDRs": settings.allow_from or inside,
        "ipAddressType": "ipv4",
        "loadBalancerAttributes": [{"key": key, "value": value} for key, value in attributes.items()],
    }


def chart_values(args: IngressArgs, vpc: str) -> dict[str, Any]:
    place, settings = args.place, args.settings
    return {
        "clusterName": place.cluster,
        "region": place.region,
        # Pods do not reach the node's metadata, from which it would take the VPC.
        "vpcId": vpc,
        "replicaCount": settings.replicas,
        "podDisruptionBudget": {"maxUnavailable": 1},
        "serviceAccount": {"name": ACCOUNT},
        "watchNamespace": args.watched,
        "ingressClass": CLASS,
        "createIngressClassResource": True,
        "ingressClassParams": {
            "create": True,
            "name": CLASS,
            "spec": class_parameters(settings, args.ranges, args.watched),
        },
        "disableIngressClassAnnotation": True,
        # Two Ingresses of one group share a load balancer, and so can change each other's.
        "disableIngressGroupNameAnnotation": True,
        "defaultTargetType": "ip",
        # What it makes is in the bill and found by the audit, like everything else.
        "defaultTags": dict(place.tags),
        # It would take over every Service of type LoadBalancer.
        "enableServiceMutatorWebhook": False,
        # KubeRay moves traffic once pods are ready, and a pod would be ready once it had traffic.
        "enablePodReadinessGateInject": False,
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": False,
        "resources": resources("100m", "128Mi", "500m", "512Mi"),
        **ON_SYSTEM_NODES,
    }


class LoadBalancers(pulumi.ComponentResource):
    """The controller must outlive the Ingresses: without it nobody ends their load balancers."""

    def __init__(self, name: str, args: IngressArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:LoadBalancers", name, None, opts)
        access = PodAccess(
            name,
            AccessArgs(args.place, args.cluster, NAMESPACE, ACCOUNT, statements(args.place)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        values: Any = pulumi.Output.from_input(args.network.vpc.id).apply(lambda vpc: chart_values(args, vpc))
        k8s.helm.v3.Release(
            "load-balancers",
            name=NAME,
            namespace=NAMESPACE,
            atomic=False,
            values=values,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[access]),
            **source(args.settings.charts, NAME, chart_version()),
        )
        self.register_outputs({"class": CLASS})
