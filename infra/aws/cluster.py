"""The EKS cluster: control plane, who may use it, and the small node group that everything else starts on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from infra.aws.naming import DISCOVERY_TAG, Place
from infra.aws.network import Network
from infra.aws.policies import trust
from infra.aws.system_nodes import SystemNodes
from infra.settings.aws import ClusterSettings
from infra.versions import VERSIONS

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
ADMIN_POLICY, VIEW_POLICY = "AmazonEKSClusterAdminPolicy", "AmazonEKSAdminViewPolicy"


@dataclass(frozen=True)
class ClusterArgs:
    place: Place
    settings: ClusterSettings
    network: Network


def kubeconfig(name: str, region: str, endpoint: str, authority: str) -> str:
    """A kubeconfig without credentials: each use asks AWS for a token of 15 minutes, as whoever asks."""
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "aws",
            "args": ["--region", region, "eks", "get-token", "--cluster-name", name, "--output", "json"],
            "interactiveMode": "Never",
        }
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
            "users": [{"name": name, "user": user}],
        }
    )


class Cluster(pulumi.ComponentResource):
    """`ready` is what must stand before a pod can run."""

    def __init__(self, name: str, args: ClusterArgs, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Cluster", name, None, opts)
        self._place, settings = args.place, args.settings
        self._inside = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        title = args.place.cluster
        self.key = aws.kms.Key(
            "secrets",
            description=f"Secrets of the EKS cluster {title}",
            enable_key_rotation=True,
            # The longest that AWS offers: with the key gone, so are the cluster's secrets.
            deletion_window_in_days=30 if protect else 7,
            opts=kept,
        )
        aws.kms.Alias("secrets", name=f"alias/{title}-secrets", target_key_id=self.key.key_id, opts=self._inside)
        # EKS would make the group itself, without retention, and leave it behind.
        logs = aws.cloudwatch.LogGroup(
            "control-plane",
            name=f"/aws/eks/{title}/cluster",
            retention_in_days=settings.log_retention_days,
            opts=self._inside,
        )
        role = aws.iam.Role(
            "control-plane",
            name=f"{title}-control-plane",
            assume_role_policy=trust("eks.amazonaws.com", args.place.account),
            opts=self._inside,
        )
        attached = aws.iam.RolePolicyAttachment(
            "control-plane",
            role=role.name,
            policy_arn=args.place.managed_policy("AmazonEKSClusterPolicy"),
            opts=self._inside,
        )
        self.cluster = aws.eks.Cluster(
            "cluster",
            name=title,
            role_arn=role.arn,
            version=VERSIONS["kubernetes"],
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": False},
            # The add-ons are resources of their own, pinned.
            bootstrap_self_managed_addons=False,
            deletion_protection=settings.deletion_protection,
            enabled_cluster_log_types=list(LOGS),
            encryption_config={"provider": {"key_arn": self.key.arn}, "resources": ["secrets"]},
            kubernetes_network_config={"service_ipv4_cidr": settings.service_cidr, "ip_family": "ipv4"},
            upgrade_policy={"support_type": settings.support},
            vpc_config=aws.eks.ClusterVpcConfigArgs(
                subnet_ids=[subnet.id for subnet in args.network.private],
                endpoint_private_access=True,
                endpoint_public_access=bool(settings.endpoint.public_from),
                public_access_cidrs=[*settings.endpoint.public_from] or None,
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=protect, depends_on=[attached, logs]),
        )
        # EKS makes this group itself; by the tag Karpenter finds it for the nodes it launches.
        group = self.cluster.vpc_config.apply(lambda config: config.cluster_security_group_id or "")
        self.security_group = group
        tag = aws.ec2.Tag("discovery", resource_id=group, key=DISCOVERY_TAG, value=title, opts=self._inside)
        entries = [self._access(arn, ADMIN_POLICY) for arn in settings.admins]
        entries += [self._access(arn, VIEW_POLICY) for arn in settings.viewers]
        nodes = SystemNodes("system", args.place, settings, self.cluster, args.network, self._inside)
        self.ready: list[pulumi.Resource] = [*entries, tag, *nodes.ready]
        self.kubeconfig = pulumi.Output.all(self.cluster.endpoint, self.cluster.certificate_authority).apply(
            lambda values: kubeconfig(title, args.place.region, values[0], _data(values[1]))
        )
        self.register_outputs({"name": self.cluster.name})

    def _access(self, principal: str, policy: str) -> pulumi.Resource:
        """`principal` as admin or viewer of the whole cluster."""
        name = principal.partition(":iam::")[2].replace(":", "-").replace("/", "-")
        entry = aws.eks.AccessEntry(
            name, cluster_name=self.cluster.name, principal_arn=principal, type="STANDARD", opts=self._inside
        )
        return aws.eks.AccessPolicyAssociation(
            name,
            cluster_name=self.cluster.name,
            principal_arn=principal,
            policy_arn=f"arn:{self._place.partition}:eks::aws:cluster-access-policy/{policy}",
            access_scope={"type": "cluster"},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )


def _data(authority: Any) -> str:
    return str(cast(Mapping[str, Any], authority)["data"] if isinstance(authority, Mapping) else authority.data)
