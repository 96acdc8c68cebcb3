"""Tags, which each service writes differently."""

from __future__ import annotations

from typing import Any, cast

from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Values
from local.engine.aws.parts import table

Pairs = list[dict[str, str]]


def wanted(want: Values) -> dict[str, str]:
    """All tags of a resource: its own and the provider's defaults."""
    return table(want, "tagsAll")


def pairs(tags: dict[str, str], key: str = "Key", value: str = "Value") -> Pairs:
    return [{key: name, value: str(text)} for name, text in tags.items()]


def plain(found: Any, key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {item[key]: item[value] for item in cast(Pairs, found or [])}


def specification(kind: str, want: Values) -> list[dict[str, Any]]:
    """Tags said with the call that makes an EC2 resource, so that none exists without them."""
    tags = wanted(want)
    return [{"ResourceType": kind, "Tags": pairs(tags)}] if tags else []


def settle_ec2(cloud: Cloud, identifier: str, want: Values) -> None:
    ec2 = cloud.client("ec2")
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [identifier]}])["Tags"]
    told, now = wanted(want), plain(found)
    if gone := [key for key in now if key not in told and not key.startswith("aws:")]:
        ec2.delete_tags(Resources=[identifier], Tags=[{"Key": key} for key in gone])
    if new := {key: value for key, value in told.items() if now.get(key) != value}:
        ec2.create_tags(Resources=[identifier], Tags=pairs(new))


def differences(now: dict[str, str], want: Values) -> tuple[dict[str, str], list[str]]:
    """(to write, to remove)."""
    told = wanted(want)
    write = {key: value for key, value in told.items() if now.get(key) != value}
    return write, [key for key in now if key not in told and not key.startswith("aws:")]
