"""Roles of pods, by EKS Pod Identity: what Ray and MLflow may do in the buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.naming import Place
from infra.aws.policies import Statement, allow, document, pod_trust


@dataclass(frozen=True)
class AccessArgs:
    """`statements` are all that the service account may do."""

    place: Place
    cluster: Cluster
    namespace: str
    service_account: str
    statements: list[Statement]


def ray_statements(place: Place, buckets: Mapping[str, str], prefix: str) -> list[Statement]:
    """Read shared data, and read and write what lies under the namespace's own prefix."""
    data, checkpoints = (f"arn:{place.partition}:s3:::{buckets[name]}" for name in ("data", "checkpoints"))
    mine = {"StringLikeIfExists": {"s3:prefix": [prefix, f"{prefix}/*"]}}
    return [
        allow("ReadData", ["s3:GetObject"], [f"{data}/*"]),
        allow("ListData", ["s3:ListBucket"], [data]),
        # Without a prefix the question is whether the bucket exists, which pyarrow asks first.
        allow("ListOwn", ["s3:ListBucket"], [checkpoints], mine),
        allow(
            "UseOwn",
            [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            [f"{checkpoints}/{prefix}/*"],
        ),
    ]


def mlflow_statements(place: Place, buckets: Mapping[str, str]) -> list[Statement]:
    artifacts = f"arn:{place.partition}:s3:::{buckets['artifacts']}"
    return [
        allow("List", ["s3:ListBucket"], [artifacts]),
        allow(
            "Use",
            [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            [f"{artifacts}/*"],
        ),
    ]


def keda_statements(queues: Sequence[str]) -> list[Statement]:
    """KEDA reads how long queues are, and nothing that is in them."""
    return [allow("ReadLengths", ["sqs:GetQueueAttributes"], queues)]


class PodAccess(pulumi.ComponentResource):
    """A role for one service account, and the association that gives it to the account's pods."""

    def __init__(self, name: str, args: AccessArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:PodAccess", name, None, opts)
        place = args.place
        inside = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            name=f"{place.cluster}-{name}",
            assume_role_policy=pod_trust(place.account, place.cluster_arn, args.namespace, args.service_account),
            opts=inside,
        )
        allowed = aws.iam.RolePolicy(name, name="use", role=role.name, policy=document(*args.statements), opts=inside)
        aws.eks.PodIdentityAssociation(
            name,
            cluster_name=args.cluster.cluster.name,
            namespace=args.namespace,
            service_account=args.service_account,
            role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
        )
        self.register_outputs({})
