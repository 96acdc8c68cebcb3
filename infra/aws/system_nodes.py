"""The node group that Karpenter and the operators run on, and the add-ons without which no pod starts."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.network import Network
from infra.aws.policies import pod_trust, trust
from infra.settings.aws import ClusterSettings

# Karpenter's chart tolerates this taint by itself, and so do the add-ons; Ray's pods do not.
TAINT = "CriticalAddonsOnly"
TOLERATION = {"key": TAINT, "operator": "Exists"}
ROLE_LABEL = "manta/nodes"
# Of pods that must not end with a machine that Karpenter takes away.
ON_SYSTEM_NODES: dict[str, Any] = {"nodeSelector": {ROLE_LABEL: "system"}, "tolerations": [TOLERATION]}
NODE_POLICIES = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly")
CNI_POLICY = "AmazonEKS_CNI_Policy"


def addon_values(zones: int) -> dict[str, dict[str, Any]]:
    """What each add-on is configured with; the keys are those of `describe-addon-configuration`."""
    critical = {"tolerations": [TOLERATION]}
    return {
        # NetworkPolicies are enforced by the CNI, and only when it is told to.
        "vpc-cni": {"enableNetworkPolicy": "true", "env": {"ENABLE_PREFIX_DELEGATION": "true"}},
        "kube-proxy": {},
        "eks-pod-identity-agent": {},
        "coredns": {**critical, "replicaCount": 2},
        "aws-ebs-csi-driver": {"controller": critical},
        "metrics-server": {**critical, "replicas": min(2, zones)},
    }


class SystemNodes(pulumi.ComponentResource):
    """A managed node group over a launch template, and the add-ons: what nodes need before it, the others after."""

    def __init__(
        self,
        name: str,
        place: Place,
        settings: ClusterSettings,
        cluster: aws.eks.Cluster,
        network: Network,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("manta:aws:SystemNodes", name, None, opts)
        self._place, self._cluster = place, cluster
        self._inside = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            name=f"{place.cluster}-system",
            assume_role_policy=trust("ec2.amazonaws.com"),
            opts=self._inside,
        )
        needs: list[pulumi.Resource] = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{policy}", role=role.name, policy_arn=place.managed_policy(policy), opts=self._inside
            )
            for policy in NODE_POLICIES
        ]
        cni = self._pod_role("cni", "kube-system", "aws-node", CNI_POLICY)
        ebs = self._pod_role("ebs", "kube-system", "ebs-csi-controller-sa", "service-role/AmazonEBSCSIDriverPolicy")
        versions = settings.addons.model_dump()
        values = addon_values(len(network.private))
        # Pods reach their roles through the agent, and the CNI is one of them.
        first = self._addon("eks-pod-identity-agent", versions, values, [])
        before = [
            first,
            self._addon("vpc-cni", versions, values, [cni]),
            self._addon("kube-proxy", versions, values, []),
        ]
        template = self._template(settings)
        group = aws.eks.NodeGroup(
            name,
            cluster_name=cluster.name,
            node_group_name="system",
            node_role_arn=role.arn,
            subnet_ids=[subnet.id for subnet in network.private],
            ami_type="AL2023_x86_64_STANDARD",
            capacity_type="ON_DEMAND",
            instance_types=settings.system.instance_types,
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            scaling_config={
                "desired_size": settings.system.size,
                "min_size": settings.system.size,
                "max_size": settings.system.size + 1,
            },
            update_config={"max_unavailable": 1},
            labels={ROLE_LABEL: "system"},
            taints=[{"key": TAINT, "value": "true", "effect": "NO_SCHEDULE"}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*needs, *before, *network.ways_out]),
        )
        after = [
            self._addon("coredns", versions, values, [group]),
            self._addon("metrics-server", versions, values, [group]),
            self._addon("aws-ebs-csi-driver", versions, values, [group, ebs]),
        ]
        self.ready: list[pulumi.Resource] = [group, *after]
        self.register_outputs({})

    def _template(self, settings: ClusterSettings) -> aws.ec2.LaunchTemplate:
        tags = {**self._place.tags, "Name": f"{self._place.cluster}-system"}
        return aws.ec2.LaunchTemplate(
            "system",
            name=f"{self._place.cluster}-system",
            update_default_version=True,
            # Hop limit 1 keeps pods away from the node's own credentials; theirs come from the Pod Identity agent.
            metadata_options={"http_tokens": "required", "http_put_response_hop_limit": 1, "http_endpoint": "enabled"},
            block_device_mappings=[
                {
                    "device_name": "/dev/xvda",
                    "ebs": {
                        "volume_size": settings.system.disk_gib,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            # A node group's own tags reach neither its machines nor their disks.
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
            opts=self._inside,
        )

    def _pod_role(self, name: str, namespace: str, account: str, policy: str) -> pulumi.Resource:
        """A role for `account` alone, by Pod Identity; returns the association."""
        role = aws.iam.Role(
            name,
            name=f"{self._place.cluster}-{name}",
            assume_role_policy=pod_trust(self._place.account, self._place.cluster_arn, namespace, account),
            opts=self._inside,
        )
        attached = aws.iam.RolePolicyAttachment(
            name, role=role.name, policy_arn=self._place.managed_policy(policy), opts=self._inside
        )
        return aws.eks.PodIdentityAssociation(
            name,
            cluster_name=self._cluster.name,
            namespace=namespace,
            service_account=account,
            role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attached]),
        )

    def _addon(
        self, name: str, versions: dict[str, str], values: dict[str, dict[str, Any]], after: list[pulumi.Resource]
    ) -> pulumi.Resource:
        return aws.eks.Addon(
            name,
            cluster_name=self._cluster.name,
            addon_name=name,
            addon_version=versions[name.replace("-", "_")],
            configuration_values=json.dumps(values[name]) if values[name] else None,
            # What someone changed by hand in the add-on is put back, or the next update of it would fail.
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
