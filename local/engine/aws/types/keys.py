"""KMS keys and the names that they go by."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import flag, number, policy, text


@kind("aws:kms/key:Key")
class Key(Kind):
    properties = {
        "description": text(longest=8192),
        "enableKeyRotation": flag(),
        "deletionWindowInDays": number(choices=tuple(str(days) for days in range(7, 31))),
        "policy": policy(computed=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tags = tagging.pairs(tagging.wanted(want), "TagKey", "TagValue")
        made = cloud.client("kms").create_key(
            Description=want.get("description", ""),
            **({"Tags": tags} if tags else {}),
            **({"Policy": want["policy"]} if "policy" in want else {}),
        )
        return made["KeyMetadata"]["KeyId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        kms = cloud.client("kms")
        if want.get("enableKeyRotation"):
            kms.enable_key_rotation(KeyId=identifier)
        else:
            kms.disable_key_rotation(KeyId=identifier)
        if had:
            kms.update_key_description(KeyId=identifier, Description=want.get("description", ""))
            if "policy" in want:
                kms.put_key_policy(KeyId=identifier, PolicyName="default", Policy=want["policy"])
        now = tagging.plain(kms.list_resource_tags(KeyId=identifier)["Tags"], "TagKey", "TagValue")
        write, remove = tagging.differences(now, want)
        if write:
            kms.tag_resource(KeyId=identifier, Tags=tagging.pairs(write, "TagKey", "TagValue"))
        if remove:
            kms.untag_resource(KeyId=identifier, TagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        kms = cloud.client("kms")
        found = kms.describe_key(KeyId=identifier)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        return {
            "arn": found["Arn"],
            "keyId": found["KeyId"],
            "description": found.get("Description", ""),
            "enableKeyRotation": kms.get_key_rotation_status(KeyId=identifier)["KeyRotationEnabled"],
            "policy": kms.get_key_policy(KeyId=identifier, PolicyName="default")["Policy"],
            "isEnabled": found["Enabled"],
            "tagsAll": tagging.plain(kms.list_resource_tags(KeyId=identifier)["Tags"], "TagKey", "TagValue"),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        kms = cloud.client("kms")
        if kms.describe_key(KeyId=identifier)["KeyMetadata"]["KeyState"] != "PendingDeletion":
            days = int(known.get("deletionWindowInDays") or 30)
            kms.schedule_key_deletion(KeyId=identifier, PendingWindowInDays=days)


@kind("aws:kms/alias:Alias")
class Alias(Kind):
    tagged = False
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"alias/(?!aws/)[\w/-]+", longest=256),
        "targetKeyId": text(required=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        cloud.client("kms").create_alias(AliasName=want["name"], TargetKeyId=want["targetKeyId"])
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            cloud.client("kms").update_alias(AliasName=identifier, TargetKeyId=want["targetKeyId"])

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        for page in cloud.client("kms").get_paginator("list_aliases").paginate():
            for found in page["Aliases"]:
                if found["AliasName"] == identifier and "TargetKeyId" in found:
                    return {
                        "name": identifier,
                        "arn": found["AliasArn"],
                        "targetKeyId": found["TargetKeyId"],
                        "targetKeyArn": cloud.arn("kms", f"key/{found['TargetKeyId']}"),
                    }
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("kms").delete_alias(AliasName=identifier)
