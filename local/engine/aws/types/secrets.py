"""Secrets Manager: secrets and what is in them."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import number, text


@kind("aws:secretsmanager/secret:Secret")
class Secret(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[\w/+=.@-]+", longest=512),
        "description": text(longest=2048),
        "recoveryWindowInDays": number(choices=("0", *(str(days) for days in range(7, 31)))),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tags = tagging.pairs(tagging.wanted(want))
        said = {"Description": want["description"]} if "description" in want else {}
        made = cloud.client("secretsmanager").create_secret(
            Name=want["name"], **said, **({"Tags": tags} if tags else {})
        )
        return made["ARN"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        manager = cloud.client("secretsmanager")
        if had and "description" in want:
            manager.update_secret(SecretId=identifier, Description=want["description"])
        found = manager.describe_secret(SecretId=identifier)
        write, remove = tagging.differences(tagging.plain(found.get("Tags")), want)
        if write:
            manager.tag_resource(SecretId=identifier, Tags=tagging.pairs(write))
        if remove:
            manager.untag_resource(SecretId=identifier, TagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("secretsmanager").describe_secret(SecretId=identifier)
        if found.get("DeletedDate"):
            return None
        return {
            "arn": found["ARN"],
            "name": found["Name"],
            "description": found.get("Description") or None,
            "recoveryWindowInDays": known.get("recoveryWindowInDays"),
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        days = int(known.get("recoveryWindowInDays", 30))
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        cloud.client("secretsmanager").delete_secret(SecretId=identifier, **how)


@kind("aws:secretsmanager/secretVersion:SecretVersion")
class SecretVersion(Kind):
    tagged = False
    properties = {
        "secretId": text(required=True, replaces=True),
        "secretString": text(required=True, replaces=True, secret=True, longest=65_536),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("secretsmanager").put_secret_value(
            SecretId=want["secretId"], SecretString=want["secretString"]
        )
        return f"{want['secretId']}|{made['VersionId']}"

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        secret, _, version = identifier.partition("|")
        found = cloud.client("secretsmanager").get_secret_value(SecretId=secret, VersionId=version)
        return {
            "secretId": secret,
            "arn": found["ARN"],
            "versionId": version,
            "versionStages": found["VersionStages"],
            "secretString": found["SecretString"],
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        """The current version goes with its secret, and older ones by themselves."""
        if not identifier.partition("|")[2]:
            raise AwsError("a secret's version has an id of <secret>|<version>")
