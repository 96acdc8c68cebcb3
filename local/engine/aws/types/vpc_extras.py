"""What a VPC may have besides: a second range, endpoints, flow logs, tags on what others made."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import flag, names, number, text
from local.engine.aws.types.vpc import cidr_fault


@kind("aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation")
class SecondRange(Kind):
    tagged = False
    properties = {
        "vpcId": text(required=True, replaces=True),
        "cidrBlock": text(required=True, replaces=True, check=cidr_fault),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").associate_vpc_cidr_block(VpcId=want["vpcId"], CidrBlock=want["cidrBlock"])
        return made["CidrBlockAssociation"]["AssociationId"]

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        filters = [{"Name": "cidr-block-association.association-id", "Values": [identifier]}]
        for vpc in cloud.client("ec2").describe_vpcs(Filters=filters)["Vpcs"]:
            for found in vpc["CidrBlockAssociationSet"]:
                if found["AssociationId"] == identifier and found["CidrBlockState"]["State"] != "disassociated":
                    return {"vpcId": vpc["VpcId"], "cidrBlock": found["CidrBlock"]}
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ec2").disassociate_vpc_cidr_block(AssociationId=identifier)


@kind("aws:ec2/vpcEndpoint:VpcEndpoint")
class VpcEndpoint(Kind):
    properties = {
        "vpcId": text(required=True, replaces=True),
        "serviceName": text(required=True, replaces=True, pattern=r"com\.amazonaws\.[a-z0-9-]+\.[a-z0-9.-]+"),
        "vpcEndpointType": text(required=True, replaces=True, choices=("Gateway", "Interface")),
        "routeTableIds": names(),
        "subnetIds": names(),
        "securityGroupIds": names(),
        "privateDnsEnabled": flag(),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        if want.get("vpcEndpointType") == "Gateway" and (want.get("subnetIds") or want.get("securityGroupIds")):
            return [("subnetIds", "a Gateway endpoint has route tables, and no subnets or security groups")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        given = {
            "RouteTableIds": want.get("routeTableIds"),
            "SubnetIds": want.get("subnetIds"),
            "SecurityGroupIds": want.get("securityGroupIds"),
        }
        made = cloud.client("ec2").create_vpc_endpoint(
            VpcId=want["vpcId"],
            ServiceName=want["serviceName"],
            VpcEndpointType=want["vpcEndpointType"],
            PrivateDnsEnabled=want.get("privateDnsEnabled", False),
            TagSpecifications=tagging.specification("vpc-endpoint", want),
            **{key: value for key, value in given.items() if value},
        )
        return made["VpcEndpoint"]["VpcEndpointId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            changed: dict[str, object] = {}
            now = self.read(cloud, identifier, want) or {}
            for name, prefix in (("routeTableIds", "RouteTable"), ("subnetIds", "Subnet")):
                wanted, found = set(want.get(name, [])), set(now.get(name, []))
                if wanted - found:
                    changed[f"Add{prefix}Ids"] = sorted(wanted - found)
                if found - wanted:
                    changed[f"Remove{prefix}Ids"] = sorted(found - wanted)
            if changed:
                cloud.client("ec2").modify_vpc_endpoint(VpcEndpointId=identifier, **changed)
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[identifier])["VpcEndpoints"][0]
        if found.get("State", "").lower() == "deleted":
            return None
        return {
            "arn": cloud.arn("ec2", f"vpc-endpoint/{identifier}"),
            "vpcId": found["VpcId"],
            "serviceName": found["ServiceName"],
            "vpcEndpointType": found["VpcEndpointType"],
            "routeTableIds": found.get("RouteTableIds", []),
            "subnetIds": found.get("SubnetIds", []),
            "securityGroupIds": [group["GroupId"] for group in found.get("Groups", [])]
            or known.get("securityGroupIds", []),
            "privateDnsEnabled": bool(found.get("PrivateDnsEnabled")),
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        if cloud.find(lambda: ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier]) or True) is None:
            # The simulation misses the routes of tables that were added later, unless they are taken away first.
            tables = (self.read(cloud, identifier, known) or {}).get("routeTableIds", [])
            ec2.modify_vpc_endpoint(VpcEndpointId=identifier, RemoveRouteTableIds=tables)
            ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])


@kind("aws:ec2/flowLog:FlowLog")
class FlowLog(Kind):
    properties = {
        "vpcId": text(required=True, replaces=True),
        "trafficType": text(replaces=True, choices=("ACCEPT", "REJECT", "ALL")),
        "logDestinationType": text(replaces=True, choices=("cloud-watch-logs", "s3")),
        "logDestination": text(replaces=True, pattern=r"arn:.+"),
        "iamRoleArn": text(replaces=True, pattern=r"arn:.+"),
        "maxAggregationInterval": number(replaces=True, choices=("60", "600")),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").create_flow_logs(
            ResourceIds=[want["vpcId"]],
            ResourceType="VPC",
            TrafficType=want["trafficType"],
            LogDestinationType=want["logDestinationType"],
            # The simulation knows groups by their names alone.
            LogGroupName=want["logDestination"].split(":log-group:")[1].removesuffix(":*"),
            DeliverLogsPermissionArn=want["iamRoleArn"],
            MaxAggregationInterval=int(want["maxAggregationInterval"]),
            TagSpecifications=tagging.specification("vpc-flow-log", want),
        )
        if made.get("Unsuccessful"):
            raise AwsError(f"CreateFlowLogs: {made['Unsuccessful'][0]['Error']['Message']}")
        return made["FlowLogIds"][0]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        logs = cloud.client("ec2").describe_flow_logs(FlowLogIds=[identifier])["FlowLogs"]
        if not logs:
            return None
        found = logs[0]
        return {
            "arn": cloud.arn("ec2", f"vpc-flow-log/{identifier}"),
            "vpcId": found["ResourceId"],
            "trafficType": found["TrafficType"],
            "logDestinationType": found["LogDestinationType"],
            "logDestination": cloud.arn("logs", f"log-group:{found['LogGroupName']}"),
            "iamRoleArn": found["DeliverLogsPermissionArn"],
            "maxAggregationInterval": int(found["MaxAggregationInterval"]),
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ec2").delete_flow_logs(FlowLogIds=[identifier])


@kind("aws:ec2/tag:Tag")
class Tag(Kind):
    """A tag on something that another made."""

    tagged = False
    properties = {
        "resourceId": text(required=True, replaces=True, pattern=r"[a-z]+-[0-9a-f]+"),
        "key": text(required=True, replaces=True, longest=128),
        "value": text(required=True, longest=256),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        self.settle(cloud, "", want, {})
        return f"{want['resourceId']},{want['key']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tags = [{"Key": want["key"], "Value": want["value"]}]
        cloud.client("ec2").create_tags(Resources=[want["resourceId"]], Tags=tags)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        resource, _, key = identifier.partition(",")
        filters = [{"Name": "resource-id", "Values": [resource]}, {"Name": "key", "Values": [key]}]
        for found in cloud.client("ec2").describe_tags(Filters=filters)["Tags"]:
            return {"resourceId": resource, "key": key, "value": found["Value"]}
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        resource, _, key = identifier.partition(",")
        cloud.client("ec2").delete_tags(Resources=[resource], Tags=[{"Key": key}])
