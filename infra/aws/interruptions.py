"""The queue on which Karpenter hears of interruptions, two minutes before they happen."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.policies import document

# Name of the rule: (source, detail types, further filter)
RULES: dict[str, dict[str, object]] = {
    "spot": {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
    "rebalance": {"source": ["aws.ec2"], "detail-type": ["EC2 Instance Rebalance Recommendation"]},
    "health": {"source": ["aws.health"], "detail-type": ["AWS Health Event"], "detail": {"service": ["EC2"]}},
    "state": {
        "source": ["aws.ec2"],
        "detail-type": [
            "EC2 Instance State-change Notification",
            "EC2 Capacity Reservation Instance Interruption Warning",
        ],
    },
}


def queue_policy(queue_arn: str, account: str) -> str:
    """EventBridge rules of this account may send; nothing may in plain text."""
    return document(
        {
            "Sid": "Send",
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": account}},
        },
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": queue_arn,
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    )


class Interruptions(pulumi.ComponentResource):
    """Queue, its policy, and the rules that fill it."""

    def __init__(self, name: str, place: Place, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Interruptions", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        self.queue_name = f"{place.cluster}-karpenter"
        self.queue_arn = place.arn("sqs", self.queue_name)
        queue = aws.sqs.Queue(
            name,
            name=self.queue_name,
            # A warning is worth nothing once the machine is gone.
            message_retention_seconds=300,
            sqs_managed_sse_enabled=True,
            opts=inside,
        )
        allowed = aws.sqs.QueuePolicy(
            name, queue_url=queue.url, policy=queue_policy(self.queue_arn, place.account), opts=inside
        )
        self.ready: list[pulumi.Resource] = []
        for title, pattern in RULES.items():
            rule = aws.cloudwatch.EventRule(
                title, name=f"{place.cluster}-{title}", event_pattern=json.dumps(pattern), opts=inside
            )
            target = aws.cloudwatch.EventTarget(
                title,
                rule=rule.name,
                arn=queue.arn,
                target_id="karpenter",
                opts=pulumi.ResourceOptions(parent=self, depends_on=[allowed]),
            )
            self.ready.append(target)
        self.register_outputs({"queue": self.queue_name})
