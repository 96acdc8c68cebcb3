"""Elastic IP addresses."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import text


@kind("aws:ec2/eip:Eip")
class Eip(Kind):
    properties = {"domain": text(required=True, replaces=True, choices=("vpc",))}

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").allocate_address(
            Domain=want["domain"], TagSpecifications=tagging.specification("elastic-ip", want)
        )
        return made["AllocationId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("ec2").describe_addresses(AllocationIds=[identifier])["Addresses"][0]
        return {
            "arn": cloud.arn("ec2", f"elastic-ip/{identifier}"),
            "allocationId": identifier,
            "domain": found["Domain"],
            "publicIp": found["PublicIp"],
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ec2").release_address(AllocationId=identifier)
