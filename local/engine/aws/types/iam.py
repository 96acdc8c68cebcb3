"""Roles, what they may do, and the profiles by which instances take them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import number, policy, text

NAME = r"[\w+=,.@-]+"
# What IAM takes in all inline policies of a role together, without white space.
MAX_INLINE = 10_240


def _document(found: Any) -> str:
    return json.dumps(found) if isinstance(found, dict) else unquote(found)


@kind("aws:iam/role:Role")
class Role(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=NAME, longest=64),
        "assumeRolePolicy": policy(required=True),
        "description": text(longest=1000),
        "maxSessionDuration": number(computed=True),
        "path": text(replaces=True, computed=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tags = tagging.pairs(tagging.wanted(want))
        cloud.client("iam").create_role(
            RoleName=want["name"],
            AssumeRolePolicyDocument=want["assumeRolePolicy"],
            Path=want.get("path", "/"),
            Description=want.get("description", ""),
            MaxSessionDuration=int(want.get("maxSessionDuration", 3600)),
            **({"Tags": tags} if tags else {}),
        )
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        iam = cloud.client("iam")
        if had:
            iam.update_assume_role_policy(RoleName=identifier, PolicyDocument=want["assumeRolePolicy"])
            if "description" in want or "maxSessionDuration" in want:
                iam.update_role(
                    RoleName=identifier,
                    Description=want.get("description", ""),
                    MaxSessionDuration=int(want.get("maxSessionDuration", 3600)),
                )
        now = tagging.plain(iam.list_role_tags(RoleName=identifier)["Tags"])
        write, remove = tagging.differences(now, want)
        if write:
            iam.tag_role(RoleName=identifier, Tags=tagging.pairs(write))
        if remove:
            iam.untag_role(RoleName=identifier, TagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        iam = cloud.client("iam")
        found = iam.get_role(RoleName=identifier)["Role"]
        return {
            "arn": found["Arn"],
            "name": found["RoleName"],
            "uniqueId": found["RoleId"],
            "path": found["Path"],
            "description": found.get("Description") or None,
            "maxSessionDuration": found.get("MaxSessionDuration", 3600),
            "assumeRolePolicy": _document(found["AssumeRolePolicyDocument"]),
            "createDate": found["CreateDate"].isoformat(),
            "tagsAll": tagging.plain(iam.list_role_tags(RoleName=identifier)["Tags"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        # The simulation lets a role go that an instance profile still holds; IAM does not.
        profiles = cloud.client("iam").list_instance_profiles_for_role(RoleName=identifier)["InstanceProfiles"]
        if profiles:
            names = ", ".join(profile["InstanceProfileName"] for profile in profiles)
            raise AwsError(f"DeleteRole: {identifier} is in the instance profile {names} (DeleteConflict)")
        cloud.client("iam").delete_role(RoleName=identifier)


@kind("aws:iam/rolePolicy:RolePolicy")
class RolePolicy(Kind):
    tagged = False
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=NAME, longest=128),
        "role": text(required=True, replaces=True, pattern=NAME, longest=64),
        "policy": policy(required=True),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        try:
            length = len(json.dumps(json.loads(want["policy"]), separators=(",", ":")))
        except (TypeError, ValueError):
            return []
        if length > MAX_INLINE:
            return [("policy", f"the policy has {length} characters, and IAM allows a role {MAX_INLINE} inline")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        self._put(cloud, want)
        return f"{want['role']}:{want['name']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            self._put(cloud, want)

    def _put(self, cloud: Cloud, want: Values) -> None:
        cloud.client("iam").put_role_policy(
            RoleName=want["role"], PolicyName=want["name"], PolicyDocument=want["policy"]
        )

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        role, _, name = identifier.partition(":")
        found = cloud.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"role": role, "name": name, "policy": _document(found["PolicyDocument"])}

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        role, _, name = identifier.partition(":")
        cloud.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


@kind("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
class RolePolicyAttachment(Kind):
    tagged = False
    properties = {
        "role": text(required=True, replaces=True, pattern=NAME, longest=64),
        "policyArn": text(required=True, replaces=True, pattern=r"arn:aws[a-z-]*:iam::(aws|\d{12}):policy/.+"),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        iam, arn = cloud.client("iam"), want["policyArn"]
        iam.attach_role_policy(RoleName=want["role"], PolicyArn=arn)
        return f"{want['role']}-{arn}"

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        role, _, rest = identifier.partition("-arn:")
        attached = cloud.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        arn = f"arn:{rest}"
        return {"role": role, "policyArn": arn} if any(item["PolicyArn"] == arn for item in attached) else None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        role, _, rest = identifier.partition("-arn:")
        cloud.client("iam").detach_role_policy(RoleName=role, PolicyArn=f"arn:{rest}")


@kind("aws:iam/instanceProfile:InstanceProfile")
class InstanceProfile(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=NAME, longest=128),
        "role": text(pattern=NAME),
        "path": text(replaces=True, computed=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        cloud.client("iam").create_instance_profile(InstanceProfileName=want["name"], Path=want.get("path", "/"))
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        iam = cloud.client("iam")
        found = iam.get_instance_profile(InstanceProfileName=identifier)["InstanceProfile"]
        roles = [role["RoleName"] for role in found["Roles"]]
        for role in roles:
            if role != want.get("role"):
                iam.remove_role_from_instance_profile(InstanceProfileName=identifier, RoleName=role)
        if want.get("role") and want["role"] not in roles:
            iam.add_role_to_instance_profile(InstanceProfileName=identifier, RoleName=want["role"])
        write, remove = tagging.differences(tagging.plain(found.get("Tags")), want)
        if write:
            iam.tag_instance_profile(InstanceProfileName=identifier, Tags=tagging.pairs(write))
        if remove:
            iam.untag_instance_profile(InstanceProfileName=identifier, TagKeys=remove)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("iam").get_instance_profile(InstanceProfileName=identifier)["InstanceProfile"]
        return {
            "arn": found["Arn"],
            "name": found["InstanceProfileName"],
            "path": found["Path"],
            "uniqueId": found["InstanceProfileId"],
            "role": found["Roles"][0]["RoleName"] if found["Roles"] else None,
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        iam = cloud.client("iam")
        for role in iam.get_instance_profile(InstanceProfileName=identifier)["InstanceProfile"]["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=identifier, RoleName=role["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=identifier)
