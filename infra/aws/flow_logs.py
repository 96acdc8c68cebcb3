"""Which connections were refused in the VPC, in CloudWatch."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.policies import allow, document, trust


class FlowLogs(pulumi.ComponentResource):
    """Refused traffic alone: all of it would cost more than the network."""

    def __init__(
        self, name: str, place: Place, vpc: aws.ec2.Vpc, retention_days: int, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("manta:aws:FlowLogs", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        group_name = f"/manta/{place.cluster}/flow-logs"
        group = aws.cloudwatch.LogGroup(name, name=group_name, retention_in_days=retention_days, opts=inside)
        role = aws.iam.Role(
            name,
            name=f"{place.cluster}-flow-logs",
            assume_role_policy=trust("vpc-flow-logs.amazonaws.com", place.account),
            opts=inside,
        )
        writes = aws.iam.RolePolicy(
            name,
            name="write",
            role=role.name,
            policy=document(
                allow(
                    "Write",
                    ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                    [place.arn("logs", f"log-group:{group_name}:*")],
                )
            ),
            opts=inside,
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=vpc.id,
            traffic_type="REJECT",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[writes]),
        )
        self.register_outputs({})
