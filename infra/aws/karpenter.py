"""Karpenter: its role, the role of the nodes that it launches, its queue, and the controller from official charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra.aws.cluster import Cluster
from infra.aws.interruptions import Interruptions
from infra.aws.karpenter_policy import statements
from infra.aws.naming import Place
from infra.aws.policies import document, pod_trust, trust
from infra.aws.system_nodes import NODE_POLICIES
from infra.kubernetes.charts import source
from infra.settings.aws import KarpenterSettings
from infra.versions import VERSIONS

NAMESPACE, ACCOUNT = "kube-system", "karpenter"


@dataclass(frozen=True)
class KarpenterArgs:
    """`image` is the controller's, as repository@sha256 digest; None is the chart's own. `reservations` are ids."""

    place: Place
    settings: KarpenterSettings
    cluster: Cluster
    reservations: tuple[str, ...]
    image: pulumi.Input[str] | None


def chart(settings: KarpenterSettings, name: str) -> dict[str, Any]:
    return source(settings.charts, name, VERSIONS["karpenter"])


def controller_values(place: Place, settings: KarpenterSettings, queue: str, image: str | None) -> dict[str, Any]:
    size = {"cpu": settings.cpu, "memory": settings.memory}
    controller: dict[str, Any] = {"resources": {"requests": size, "limits": {"memory": settings.memory}}}
    if image:
        repository, _, digest = image.partition("@")
        controller["image"] = {"repository": repository, "tag": VERSIONS["karpenter"], "digest": digest}
    return {
        "replicas": settings.replicas,
        "serviceAccount": {"name": ACCOUNT},
        "settings": {"clusterName": place.cluster, "interruptionQueue": queue},
        "controller": controller,
        # One of two replicas is enough to hear an interruption.
        "podDisruptionBudget": {"name": "karpenter", "maxUnavailable": 1},
    }


class NodeAccess(pulumi.ComponentResource):
    """Role and instance profile of launched nodes, both called `name`, and their way into the cluster."""

    def __init__(self, title: str, place: Place, cluster: Cluster, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:NodeAccess", title, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.name = f"{place.cluster}-node"
        role = aws.iam.Role("node", name=self.name, assume_role_policy=trust("ec2.amazonaws.com"), opts=inside)
        attached: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"node-{policy}", role=role.name, policy_arn=place.managed_policy(policy), opts=inside
            )
            for policy in NODE_POLICIES
        ]
        # Made here, so that Karpenter needs no right to make one and leaves none behind.
        profile = aws.iam.InstanceProfile("node", name=self.name, role=role.name, opts=inside)
        entry = aws.eks.AccessEntry(
            "node", cluster_name=cluster.cluster.name, principal_arn=role.arn, type="EC2_LINUX", opts=inside
        )
        self.ready: list[pulumi.Resource] = [*attached, profile, entry]
        self.register_outputs({"name": self.name})


class Karpenter(pulumi.ComponentResource):
    """`profile` is the instance profile of the nodes; `controller` what NodePools must depend on, so that it outlives
    them: without it nobody ends their machines."""

    def __init__(self, name: str, args: KarpenterArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Karpenter", name, None, opts)
        place = args.place
        inside = pulumi.ResourceOptions(parent=self)
        nodes = NodeAccess("nodes", place, args.cluster, opts=inside)
        self.profile = nodes.name
        queue = Interruptions("interruptions", place, inside)
        role = aws.iam.Role(
            "controller",
            name=f"{place.cluster}-karpenter",
            assume_role_policy=pod_trust(place.account, place.cluster_arn, NAMESPACE, ACCOUNT),
            opts=inside,
        )
        allowed = aws.iam.RolePolicy(
            "controller",
            name="karpenter",
            role=role.name,
            policy=document(
                *statements(
                    place,
                    queue.queue_arn,
                    place.iam_arn(f"role/{nodes.name}"),
                    place.iam_arn(f"instance-profile/{nodes.name}"),
                    args.reservations,
                )
            ),
            opts=inside,
        )
        identity = aws.eks.PodIdentityAssociation(
            "controller",
            cluster_name=args.cluster.cluster.name,
            namespace=NAMESPACE,
            service_account=ACCOUNT,
            role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        definitions = k8s.helm.v3.Release(
            "definitions",
            name="karpenter-crd",
            namespace=NAMESPACE,
            atomic=False,
            **chart(args.settings, "karpenter-crd"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.cluster.ready),
        )
        values: Any = (
            pulumi.Output.from_input(args.image).apply(
                lambda image: controller_values(place, args.settings, queue.queue_name, image)
            )
            if args.image is not None
            else controller_values(place, args.settings, queue.queue_name, None)
        )
        self.controller = k8s.helm.v3.Release(
            "controller",
            name="karpenter",
            namespace=NAMESPACE,
            atomic=False,
            # They are the release above: Helm never upgrades what lies in a chart's crds/.
            skip_crds=True,
            values=values,
            **chart(args.settings, "karpenter"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[definitions, identity, *queue.ready, *nodes.ready]),
        )
        self.register_outputs({"queue": queue.queue_name, "nodeRole": nodes.name})
