"""What Karpenter may do: launch and end machines of this cluster, told by tags, and read what it chooses from."""

from __future__ import annotations

from collections.abc import Sequence

from infra.aws.naming import CLUSTER_TAG, DISCOVERY_TAG, Place
from infra.aws.policies import Statement, allow

NODEPOOL_TAG, NODECLAIM_TAG = "karpenter.sh/nodepool", "karpenter.sh/nodeclaim"
MADE = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
READS = (
    "ec2:DescribeCapacityReservations",
    "ec2:DescribeImages",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribePlacementGroups",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
)


def statements(
    place: Place, queue_arn: str, node_role_arn: str, profile_arn: str, reservations: Sequence[str]
) -> list[Statement]:
    """Every mutating action is bound to tags of this cluster, to a named resource, or to the service it is for."""
    owned = f"kubernetes.io/cluster/{place.cluster}"
    launch = ["ec2:RunInstances", "ec2:CreateFleet"]

    def ours(kind: str) -> dict[str, dict[str, str]]:
        return {
            "StringEquals": {f"aws:{kind}/{owned}": "owned", f"aws:{kind}/{CLUSTER_TAG}": place.cluster},
            "StringLike": {f"aws:{kind}/{NODEPOOL_TAG}": "*"},
        }

    def of_cluster() -> dict[str, dict[str, str]]:
        return {
            "StringEquals": {f"aws:ResourceTag/{owned}": "owned"},
            "StringLike": {f"aws:ResourceTag/{NODEPOOL_TAG}": "*"},
        }

    def any_of(*kinds: str) -> list[str]:
        return [place.arn("ec2", f"{kind}/*") for kind in kinds]

    public = [f"arn:{place.partition}:ec2:{place.region}::{kind}/*" for kind in ("image", "snapshot")]
    found = [
        allow("LaunchFromImages", launch, public, {"StringEquals": {"ec2:Owner": ["amazon", place.account]}}),
        allow(
            "LaunchIntoOurNetwork",
            launch,
            any_of("subnet", "security-group"),
            {"StringEquals": {f"aws:ResourceTag/{DISCOVERY_TAG}": place.cluster}},
        ),
        allow("LaunchFromOurTemplates", launch, any_of("launch-template"), of_cluster()),
        allow("MakeWithOurTags", [*launch, "ec2:CreateLaunchTemplate"], any_of(*MADE), ours("RequestTag")),
        allow(
            "TagWhatIsMade",
            ["ec2:CreateTags"],
            any_of(*MADE),
            {
                **ours("RequestTag"),
                "StringEquals": {
                    **ours("RequestTag")["StringEquals"],
                    "ec2:CreateAction": ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
                },
            },
        ),
        allow(
            "NameOurMachines",
            ["ec2:CreateTags"],
            any_of("instance"),
            {
                **of_cluster(),
                "ForAllValues:StringEquals": {"aws:TagKeys": [CLUSTER_TAG, NODECLAIM_TAG, "Name"]},
            },
        ),
        allow(
            "EndOurMachines",
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            any_of("instance", "launch-template"),
            of_cluster(),
        ),
        allow("ReadTheMarket", READS, ["*"], {"StringEquals": {"aws:RequestedRegion": place.region}}),
        allow("ReadPrices", ["pricing:GetProducts"], ["*"]),
        allow(
            "ReadImageNames",
            ["ssm:GetParameter"],
            [f"arn:{place.partition}:ssm:{place.region}::parameter/aws/service/*"],
        ),
        allow("HearInterruptions", ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"], [queue_arn]),
        allow(
            "GiveNodesTheirRole",
            ["iam:PassRole"],
            [node_role_arn],
            {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        ),
        # When a node class is deleted, Karpenter looks for a profile that it might have made for it, by a name of its
        # own; without the right to look, the node class is never let go.
        allow(
            "ReadTheProfile",
            ["iam:GetInstanceProfile"],
            [profile_arn, place.iam_arn(f"instance-profile/{place.cluster}_*")],
        ),
        # Its garbage collector lists; with a profile of ours it makes and deletes none.
        allow("ListProfiles", ["iam:ListInstanceProfiles"], ["*"]),
        allow("ReadTheCluster", ["eks:DescribeCluster"], [place.cluster_arn]),
    ]
    if reservations:
        arns = [place.arn("ec2", f"capacity-reservation/{name}") for name in reservations]
        found.insert(3, allow("LaunchIntoReservations", launch, arns))
    return found
