"""Ways out of a VPC: internet and NAT gateways."""

from __future__ import annotations

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.parts import rows
from local.engine.aws.schema import text


@kind("aws:ec2/internetGateway:InternetGateway")
class InternetGateway(Kind):
    properties = {"vpcId": text()}

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").create_internet_gateway(
            TagSpecifications=tagging.specification("internet-gateway", want)
        )
        return made["InternetGateway"]["InternetGatewayId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        ec2 = cloud.client("ec2")
        now = (self.read(cloud, identifier, want) or {}).get("vpcId")
        if now and now != want.get("vpcId"):
            ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=now)
        if want.get("vpcId") and now != want["vpcId"]:
            ec2.attach_internet_gateway(InternetGatewayId=identifier, VpcId=want["vpcId"])
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        answer = cloud.client("ec2").describe_internet_gateways(InternetGatewayIds=[identifier])
        found = answer["InternetGateways"][0]
        return {
            "arn": cloud.arn("ec2", f"internet-gateway/{identifier}"),
            "vpcId": next((item["VpcId"] for item in found.get("Attachments", [])), None),
            "ownerId": cloud.account,
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        live = self.read(cloud, identifier, known) or {}
        if vpc := live.get("vpcId"):
            filters = [{"Name": "vpc-id", "Values": [vpc]}]
            # As AWS: public addresses in use hold the gateway fast.
            used = [
                gateway["NatGatewayId"]
                for gateway in ec2.describe_nat_gateways(Filters=filters)["NatGateways"]
                if gateway["State"] not in ("deleted", "deleting")
            ]
            if used:
                raise AwsError(
                    f"DetachInternetGateway: {vpc} has mapped public addresses, of {', '.join(used)} "
                    "(DependencyViolation)"
                )
            ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=vpc)
        ec2.delete_internet_gateway(InternetGatewayId=identifier)


@kind("aws:ec2/natGateway:NatGateway")
class NatGateway(Kind):
    properties = {
        "allocationId": text(required=True, replaces=True, pattern=r"eipalloc-[0-9a-f]+"),
        "subnetId": text(required=True, replaces=True, pattern=r"subnet-[0-9a-f]+"),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        ec2 = cloud.client("ec2")
        ec2.describe_subnets(SubnetIds=[want["subnetId"]])
        ec2.describe_addresses(AllocationIds=[want["allocationId"]])
        made = ec2.create_nat_gateway(
            AllocationId=want["allocationId"],
            SubnetId=want["subnetId"],
            TagSpecifications=tagging.specification("natgateway", want),
        )
        return made["NatGateway"]["NatGatewayId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        gateways = cloud.client("ec2").describe_nat_gateways(NatGatewayIds=[identifier])["NatGateways"]
        if not gateways or gateways[0]["State"] in ("deleted", "deleting"):
            return None
        found = gateways[0]
        address = (rows(found, "NatGatewayAddresses") or [{}])[0]
        return {
            "allocationId": address.get("AllocationId") or known.get("allocationId"),
            "subnetId": found["SubnetId"],
            "publicIp": address.get("PublicIp"),
            "networkInterfaceId": address.get("NetworkInterfaceId"),
            "connectivityType": found.get("ConnectivityType", "public"),
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        ec2 = cloud.client("ec2")
        found = ec2.describe_nat_gateways(NatGatewayIds=[identifier])["NatGateways"]
        ec2.delete_nat_gateway(NatGatewayId=identifier)
        # In AWS its network interface ends with it; the simulation leaves it, in the way of the subnet's end.
        for address in rows(found[0], "NatGatewayAddresses") if found else []:
            if interface := address.get("NetworkInterfaceId"):
                cloud.find(lambda name=interface: ec2.delete_network_interface(NetworkInterfaceId=name))
