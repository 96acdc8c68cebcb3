"""Functions that programs may call: questions that change nothing."""

from __future__ import annotations

from typing import Any

from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import UnsupportedError


def invoke(cloud: Cloud, token: str) -> dict[str, Any]:
    """Raises UnsupportedError for what the programs here never ask."""
    match token:
        case "aws:index/getCallerIdentity:getCallerIdentity":
            answer = cloud.client("sts").get_caller_identity()
            return {
                "accountId": answer["Account"],
                "arn": answer["Arn"],
                "userId": answer["UserId"],
                "id": answer["Account"],
            }
        case "aws:index/getRegion:getRegion":
            return {"name": cloud.region, "region": cloud.region, "id": cloud.region}
        case _:
            raise UnsupportedError(f"{token} is not among the functions of the stand-in AWS provider")
