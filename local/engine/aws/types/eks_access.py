"""Who may use a cluster, what is added to it, and which roles its pods have."""

from __future__ import annotations

from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import block, names, policy, required, text
from local.engine.aws.types.eks import CLUSTER, ROLE, require_role

PRINCIPAL = r"arn:aws[a-z-]*:iam::\d{12}:(role|user|root).*"
ADDONS = (
    "vpc-cni", "coredns", "kube-proxy", "eks-pod-identity-agent", "aws-ebs-csi-driver", "metrics-server",
    "amazon-cloudwatch-observability", "aws-efs-csi-driver", "aws-mountpoint-s3-csi-driver", "snapshot-controller",
)  # fmt: skip


def _tagged_at_creation(want: Values) -> dict[str, Any]:
    tags = tagging.wanted(want)
    return {"tags": tags} if tags else {}


@kind("aws:eks/addon:Addon")
class Addon(Kind):
    properties = {
        "clusterName": text(required=True, replaces=True, pattern=CLUSTER),
        "addonName": text(required=True, replaces=True, choices=ADDONS),
        "addonVersion": text(pattern=r"v\d+\.\d+\.\d+-eksbuild\.\d+", computed=True),
        "configurationValues": policy(),
        "serviceAccountRoleArn": text(pattern=ROLE),
        "resolveConflictsOnCreate": text(choices=("NONE", "OVERWRITE")),
        "resolveConflictsOnUpdate": text(choices=("NONE", "OVERWRITE", "PRESERVE")),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        cloud.client("eks").create_addon(
            clusterName=want["clusterName"],
            addonName=want["addonName"],
            **self._said(want),
            **_tagged_at_creation(want),
        )
        return f"{want['clusterName']}:{want['addonName']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            cluster, _, name = identifier.partition(":")
            cloud.client("eks").update_addon(clusterName=cluster, addonName=name, **self._said(want))

    def _said(self, want: Values) -> dict[str, Any]:
        names = ("addonVersion", "configurationValues", "serviceAccountRoleArn")
        return {name: want[name] for name in names if name in want}

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        cluster, _, name = identifier.partition(":")
        found = cloud.client("eks").describe_addon(clusterName=cluster, addonName=name)["addon"]
        return {
            "arn": found["addonArn"],
            "clusterName": cluster,
            "addonName": name,
            "addonVersion": found["addonVersion"],
            "configurationValues": found.get("configurationValues"),
            "serviceAccountRoleArn": found.get("serviceAccountRoleArn"),
            # How conflicts are resolved is said with a call and kept nowhere.
            "resolveConflictsOnCreate": known.get("resolveConflictsOnCreate"),
            "resolveConflictsOnUpdate": known.get("resolveConflictsOnUpdate"),
            "tagsAll": found.get("tags", {}),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cluster, _, name = identifier.partition(":")
        cloud.client("eks").delete_addon(clusterName=cluster, addonName=name)


@kind("aws:eks/accessEntry:AccessEntry")
class AccessEntry(Kind):
    properties = {
        "clusterName": text(required=True, replaces=True, pattern=CLUSTER),
        "principalArn": text(required=True, replaces=True, pattern=PRINCIPAL),
        "type": text(replaces=True, choices=("STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2")),
        "kubernetesGroups": names(),
        "userName": text(computed=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        require_principal(cloud, want["principalArn"])
        groups = want.get("kubernetesGroups")
        cloud.client("eks").create_access_entry(
            clusterName=want["clusterName"],
            principalArn=want["principalArn"],
            type=want.get("type", "STANDARD"),
            **({"kubernetesGroups": groups} if groups else {}),
            **_tagged_at_creation(want),
        )
        return f"{want['clusterName']}:{want['principalArn']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            cluster, _, principal = identifier.partition(":")
            cloud.client("eks").update_access_entry(
                clusterName=cluster, principalArn=principal, kubernetesGroups=want.get("kubernetesGroups", [])
            )

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        cluster, _, principal = identifier.partition(":")
        found = cloud.client("eks").describe_access_entry(clusterName=cluster, principalArn=principal)["accessEntry"]
        return {
            "accessEntryArn": found["accessEntryArn"],
            "clusterName": cluster,
            "principalArn": principal,
            "type": found["type"],
            "kubernetesGroups": found.get("kubernetesGroups", []),
            "userName": found.get("username"),
            "tagsAll": found.get("tags", {}),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cluster, _, principal = identifier.partition(":")
        cloud.client("eks").delete_access_entry(clusterName=cluster, principalArn=principal)


def require_principal(cloud: Cloud, arn: str) -> None:
    """Raises the service's own error for a role or user that does not exist."""
    name = arn.rpartition("/")[2]
    if ":user/" in arn:
        cloud.client("iam").get_user(UserName=name)
    elif ":role/" in arn:
        require_role(cloud, arn)


@kind("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
class AccessPolicyAssociation(Kind):
    tagged = False
    properties = {
        "clusterName": text(required=True, replaces=True, pattern=CLUSTER),
        "principalArn": text(required=True, replaces=True, pattern=PRINCIPAL),
        "policyArn": text(
            required=True, replaces=True, pattern=r"arn:aws[a-z-]*:eks::aws:cluster-access-policy/AmazonEKS\w+Policy"
        ),
        "accessScope": block(
            {"type": required(text(choices=("cluster", "namespace"))), "namespaces": names()}, required=True
        ),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want)
        return "#".join((want["clusterName"], want["principalArn"], want["policyArn"]))

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self._put(cloud, want)

    def _put(self, cloud: Cloud, want: Values) -> None:
        cloud.client("eks").associate_access_policy(
            clusterName=want["clusterName"],
            principalArn=want["principalArn"],
            policyArn=want["policyArn"],
            accessScope=want["accessScope"],
        )

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        cluster, principal, document = identifier.split("#")
        answer = cloud.client("eks").list_associated_access_policies(clusterName=cluster, principalArn=principal)
        for found in answer["associatedAccessPolicies"]:
            if found["policyArn"] == document:
                return {
                    "clusterName": cluster,
                    "principalArn": principal,
                    "policyArn": document,
                    "accessScope": found["accessScope"],
                }
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cluster, principal, document = identifier.split("#")
        cloud.client("eks").disassociate_access_policy(clusterName=cluster, principalArn=principal, policyArn=document)


@kind("aws:eks/podIdentityAssociation:PodIdentityAssociation")
class PodIdentityAssociation(Kind):
    properties = {
        "clusterName": text(required=True, replaces=True, pattern=CLUSTER),
        "namespace": text(required=True, replaces=True, pattern=r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", longest=63),
        "serviceAccount": text(required=True, replaces=True, longest=253),
        "roleArn": text(required=True, pattern=ROLE),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        require_role(cloud, want["roleArn"])
        made = cloud.client("eks").create_pod_identity_association(
            clusterName=want["clusterName"],
            namespace=want["namespace"],
            serviceAccount=want["serviceAccount"],
            roleArn=want["roleArn"],
            **_tagged_at_creation(want),
        )
        return made["association"]["associationId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            require_role(cloud, want["roleArn"])
            cloud.client("eks").update_pod_identity_association(
                clusterName=want["clusterName"], associationId=identifier, roleArn=want["roleArn"]
            )

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        cluster = known.get("clusterName")
        if not cluster:
            raise AwsError("DescribePodIdentityAssociation: an association is imported as <cluster>,<id>")
        answer = cloud.client("eks").describe_pod_identity_association(clusterName=cluster, associationId=identifier)
        found = answer["association"]
        return {
            "associationArn": found["associationArn"],
            "associationId": identifier,
            "clusterName": cluster,
            "namespace": found["namespace"],
            "serviceAccount": found["serviceAccount"],
            "roleArn": found["roleArn"],
            "tagsAll": found.get("tags", {}),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("eks").delete_pod_identity_association(clusterName=known["clusterName"], associationId=identifier)
