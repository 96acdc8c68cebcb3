"""VPCs and subnets."""

from __future__ import annotations

import ipaddress
from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import flag, text

CIDR = r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}"


def cidr_fault(value: str) -> str | None:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        return str(error)
    return None if 16 <= network.prefixlen <= 28 else f"{value} is not between /16 and /28"


@kind("aws:ec2/vpc:Vpc")
class Vpc(Kind):
    properties = {
        "cidrBlock": text(required=True, replaces=True, check=cidr_fault),
        "enableDnsHostnames": flag(),
        "enableDnsSupport": flag(computed=True),
        "instanceTenancy": text(replaces=True, computed=True, choices=("default", "dedicated")),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        tenancy = want.get("instanceTenancy", "default")
        made = cloud.client("ec2").create_vpc(
            CidrBlock=want["cidrBlock"], InstanceTenancy=tenancy, TagSpecifications=tagging.specification("vpc", want)
        )
        return made["Vpc"]["VpcId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        ec2 = cloud.client("ec2")
        # One attribute a call, and names need resolution first.
        ec2.modify_vpc_attribute(VpcId=identifier, EnableDnsSupport={"Value": want.get("enableDnsSupport", True)})
        ec2.modify_vpc_attribute(VpcId=identifier, EnableDnsHostnames={"Value": want.get("enableDnsHostnames", False)})
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        ec2 = cloud.client("ec2")
        found = ec2.describe_vpcs(VpcIds=[identifier])["Vpcs"][0]

        def attribute(name: str) -> bool:
            return ec2.describe_vpc_attribute(VpcId=identifier, Attribute=name)[name[0].upper() + name[1:]]["Value"]

        def first(items: list[dict[str, Any]], key: str) -> str | None:
            return items[0][key] if items else None

        of_vpc = [{"Name": "vpc-id", "Values": [identifier]}]
        groups = ec2.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])
        tables = ec2.describe_route_tables(Filters=[*of_vpc, {"Name": "association.main", "Values": ["true"]}])
        lists = ec2.describe_network_acls(Filters=[*of_vpc, {"Name": "default", "Values": ["true"]}])
        return {
            "arn": cloud.arn("ec2", f"vpc/{identifier}"),
            "cidrBlock": found["CidrBlock"],
            "enableDnsHostnames": attribute("enableDnsHostnames"),
            "enableDnsSupport": attribute("enableDnsSupport"),
            "instanceTenancy": found["InstanceTenancy"],
            "ownerId": cloud.account,
            "defaultSecurityGroupId": first(groups["SecurityGroups"], "GroupId"),
            "defaultRouteTableId": first(tables["RouteTables"], "RouteTableId"),
            "mainRouteTableId": first(tables["RouteTables"], "RouteTableId"),
            "defaultNetworkAclId": first(lists["NetworkAcls"], "NetworkAclId"),
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        of_vpc = [{"Name": "vpc-id", "Values": [identifier]}]
        # The account's simulation deletes a VPC under what lies in it, which AWS does not.
        for what, items in (
            ("subnets", ec2.describe_subnets(Filters=of_vpc)["Subnets"]),
            ("network interfaces", ec2.describe_network_interfaces(Filters=of_vpc)["NetworkInterfaces"]),
            ("internet gateways", ec2.describe_internet_gateways(
                Filters=[{"Name": "attachment.vpc-id", "Values": [identifier]}])["InternetGateways"]),
            ("security groups", [group for group in ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
                                 if group["GroupName"] != "default"]),
        ):  # fmt: skip
            if items:
                raise AwsError(
                    f"DeleteVpc: {identifier} has {len(items)} {what} and cannot be deleted (DependencyViolation)"
                )
        ec2.delete_vpc(VpcId=identifier)


@kind("aws:ec2/subnet:Subnet")
class Subnet(Kind):
    properties = {
        "vpcId": text(required=True, replaces=True, pattern=r"vpc-[0-9a-f]+"),
        "cidrBlock": text(required=True, replaces=True, check=cidr_fault),
        "availabilityZone": text(required=True, replaces=True, pattern=r"[a-z]{2}(-[a-z]+)+-\d[a-z]"),
        "mapPublicIpOnLaunch": flag(),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").create_subnet(
            VpcId=want["vpcId"],
            CidrBlock=want["cidrBlock"],
            AvailabilityZone=want["availabilityZone"],
            TagSpecifications=tagging.specification("subnet", want),
        )
        return made["Subnet"]["SubnetId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        cloud.client("ec2").modify_subnet_attribute(
            SubnetId=identifier, MapPublicIpOnLaunch={"Value": want.get("mapPublicIpOnLaunch", False)}
        )
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("ec2").describe_subnets(SubnetIds=[identifier])["Subnets"][0]
        return {
            "arn": found["SubnetArn"],
            "vpcId": found["VpcId"],
            "cidrBlock": found["CidrBlock"],
            "availabilityZone": found["AvailabilityZone"],
            "availabilityZoneId": found["AvailabilityZoneId"],
            "mapPublicIpOnLaunch": found["MapPublicIpOnLaunch"],
            "ownerId": found["OwnerId"],
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        found = ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [identifier]}])
        if interfaces := found["NetworkInterfaces"]:
            raise AwsError(
                f"DeleteSubnet: {identifier} still has {len(interfaces)} network interfaces, of "
                f"{', '.join(sorted({item.get('Description') or item['NetworkInterfaceId'] for item in interfaces}))} "
                "(DependencyViolation)"
            )
        ec2.delete_subnet(SubnetId=identifier)
