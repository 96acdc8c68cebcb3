"""Security groups and their rules."""

from __future__ import annotations

from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import number, text

PROTOCOLS = ("tcp", "udp", "icmp", "-1")


def _group(cloud: Cloud, identifier: str) -> dict[str, Any]:
    return cloud.client("ec2").describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]


@kind("aws:ec2/securityGroup:SecurityGroup")
class SecurityGroup(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"(?!sg-)[\w .:/()#,@\[\]+=&;{}!$*-]+", longest=255),
        "description": text(replaces=True, longest=255),
        "vpcId": text(required=True, replaces=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        ec2 = cloud.client("ec2")
        made = ec2.create_security_group(
            GroupName=want["name"],
            Description=want.get("description", "Managed by Pulumi"),
            VpcId=want["vpcId"],
            TagSpecifications=tagging.specification("security-group", want),
        )["GroupId"]
        # The provider takes away the rule that lets everything out, as the official one does.
        if rules := _group(cloud, made)["IpPermissionsEgress"]:
            ec2.revoke_security_group_egress(GroupId=made, IpPermissions=rules)
        return made

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = _group(cloud, identifier)
        return {
            "arn": cloud.arn("ec2", f"security-group/{identifier}"),
            "name": found["GroupName"],
            "description": found["Description"],
            "vpcId": found["VpcId"],
            "ownerId": cloud.account,
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        filters = [{"Name": "group-id", "Values": [identifier]}]
        if used := ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]:
            raise AwsError(
                f"DeleteSecurityGroup: {identifier} is in use by {len(used)} network interfaces (DependencyViolation)"
            )
        ec2.delete_security_group(GroupId=identifier)


@kind("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
class DefaultSecurityGroup(Kind):
    """Taken over rather than made: all its rules are removed, and with the VPC it goes."""

    properties = {"vpcId": text(required=True, replaces=True)}

    def create(self, cloud: Cloud, want: Values) -> str:
        filters = [{"Name": "vpc-id", "Values": [want["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        groups = cloud.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]
        if not groups:
            raise AwsError(f"DescribeSecurityGroups: there is no VPC {want['vpcId']} (InvalidVpcID.NotFound)")
        return groups[0]["GroupId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        ec2, found = cloud.client("ec2"), _group(cloud, identifier)
        if found["IpPermissions"]:
            ec2.revoke_security_group_ingress(GroupId=identifier, IpPermissions=found["IpPermissions"])
        if found["IpPermissionsEgress"]:
            ec2.revoke_security_group_egress(GroupId=identifier, IpPermissions=found["IpPermissionsEgress"])
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = _group(cloud, identifier)
        return {
            "arn": cloud.arn("ec2", f"security-group/{identifier}"),
            "vpcId": found["VpcId"],
            "name": found["GroupName"],
            "description": found["Description"],
            "ingress": found["IpPermissions"],
            "egress": found["IpPermissionsEgress"],
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        """AWS deletes it with the VPC and not before."""


class _Rule(Kind):
    egress = False
    tagged = True
    properties = {
        "securityGroupId": text(required=True, replaces=True, pattern=r"sg-[0-9a-z]+"),
        "ipProtocol": text(required=True, replaces=True, choices=PROTOCOLS),
        "fromPort": number(replaces=True),
        "toPort": number(replaces=True),
        "cidrIpv4": text(replaces=True),
        "referencedSecurityGroupId": text(replaces=True, pattern=r"sg-[0-9a-z]+"),
        "description": text(replaces=True, longest=255),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        if len([name for name in ("cidrIpv4", "referencedSecurityGroupId") if name in want]) != 1:
            return [("cidrIpv4", "a rule is about one peer: say either cidrIpv4 or referencedSecurityGroupId")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        ec2 = cloud.client("ec2")
        permission: dict[str, Any] = {"IpProtocol": want["ipProtocol"]}
        if "fromPort" in want:
            permission |= {"FromPort": int(want["fromPort"]), "ToPort": int(want["toPort"])}
        said = {"Description": want["description"]} if "description" in want else {}
        if peer := want.get("referencedSecurityGroupId"):
            _group(cloud, peer)
            permission["UserIdGroupPairs"] = [{"GroupId": peer, **said}]
        else:
            permission["IpRanges"] = [{"CidrIp": want["cidrIpv4"], **said}]
        call = ec2.authorize_security_group_egress if self.egress else ec2.authorize_security_group_ingress
        made = call(
            GroupId=want["securityGroupId"],
            IpPermissions=[permission],
            TagSpecifications=tagging.specification("security-group-rule", want),
        )
        return made["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        ec2 = cloud.client("ec2")
        rules = ec2.describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [known["securityGroupId"]]}] if known.get("securityGroupId") else []
        )["SecurityGroupRules"]
        found = next((rule for rule in rules if rule["SecurityGroupRuleId"] == identifier), None)
        if found is None:
            return None
        every = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [identifier]}])["Tags"]
        return {
            "arn": cloud.arn("ec2", f"security-group-rule/{identifier}"),
            "securityGroupRuleId": identifier,
            "securityGroupId": found["GroupId"],
            "ipProtocol": found["IpProtocol"],
            "fromPort": found.get("FromPort"),
            "toPort": found.get("ToPort"),
            "cidrIpv4": found.get("CidrIpv4"),
            "referencedSecurityGroupId": found.get("ReferencedGroupInfo", {}).get("GroupId"),
            "description": found.get("Description") or None,
            "tagsAll": tagging.plain(found.get("Tags") or every),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2, group = cloud.client("ec2"), known["securityGroupId"]
        if self.read(cloud, identifier, known) is None:
            return
        if self.egress:
            ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[identifier])
        else:
            ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[identifier])


@kind("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
class IngressRule(_Rule):
    egress = False


@kind("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
class EgressRule(_Rule):
    egress = True
