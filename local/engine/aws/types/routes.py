"""Route tables, their routes, and the subnets that follow them."""

from __future__ import annotations

from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.schema import text


def _table(cloud: Cloud, identifier: str) -> dict[str, Any]:
    return cloud.client("ec2").describe_route_tables(RouteTableIds=[identifier])["RouteTables"][0]


@kind("aws:ec2/routeTable:RouteTable")
class RouteTable(Kind):
    properties = {"vpcId": text(required=True, replaces=True)}

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").create_route_table(
            VpcId=want["vpcId"], TagSpecifications=tagging.specification("route-table", want)
        )
        return made["RouteTable"]["RouteTableId"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        tagging.settle_ec2(cloud, identifier, want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = _table(cloud, identifier)
        return {
            "arn": cloud.arn("ec2", f"route-table/{identifier}"),
            "vpcId": found["VpcId"],
            "ownerId": cloud.account,
            "tagsAll": tagging.plain(found.get("Tags")),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        if _table(cloud, identifier).get("Associations"):
            raise AwsError(f"DeleteRouteTable: {identifier} has subnets and cannot be deleted (DependencyViolation)")
        cloud.client("ec2").delete_route_table(RouteTableId=identifier)


@kind("aws:ec2/route:Route")
class Route(Kind):
    tagged = False
    properties = {
        "routeTableId": text(required=True, replaces=True),
        "destinationCidrBlock": text(required=True, replaces=True),
        "gatewayId": text(),
        "natGatewayId": text(),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        if len([name for name in ("gatewayId", "natGatewayId") if name in want]) != 1:
            return [("gatewayId", "a route goes to one target: say either gatewayId or natGatewayId")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        cloud.client("ec2").create_route(**_target(cloud, want))
        return f"{want['routeTableId']}_{want['destinationCidrBlock']}"

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            cloud.client("ec2").replace_route(**_target(cloud, want))

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        table, _, destination = identifier.partition("_")
        for found in _table(cloud, table)["Routes"]:
            if found.get("DestinationCidrBlock") == destination:
                return {
                    "routeTableId": table,
                    "destinationCidrBlock": destination,
                    "gatewayId": found.get("GatewayId"),
                    "natGatewayId": found.get("NatGatewayId"),
                    "state": found.get("State"),
                    "origin": found.get("Origin"),
                }
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        table, _, destination = identifier.partition("_")
        cloud.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=destination)


def _target(cloud: Cloud, want: Values) -> dict[str, str]:
    """Raises the service's own error for a gateway that does not exist."""
    where = {"RouteTableId": want["routeTableId"], "DestinationCidrBlock": want["destinationCidrBlock"]}
    if gateway := want.get("gatewayId"):
        cloud.client("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])
        return {**where, "GatewayId": gateway}
    cloud.client("ec2").describe_nat_gateways(NatGatewayIds=[want["natGatewayId"]])
    return {**where, "NatGatewayId": want["natGatewayId"]}


@kind("aws:ec2/routeTableAssociation:RouteTableAssociation")
class RouteTableAssociation(Kind):
    tagged = False
    properties = {
        "subnetId": text(required=True, replaces=True),
        "routeTableId": text(required=True, replaces=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        made = cloud.client("ec2").associate_route_table(SubnetId=want["subnetId"], RouteTableId=want["routeTableId"])
        return made["AssociationId"]

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        filters = [{"Name": "association.route-table-association-id", "Values": [identifier]}]
        for table in cloud.client("ec2").describe_route_tables(Filters=filters)["RouteTables"]:
            for found in table["Associations"]:
                if found["RouteTableAssociationId"] == identifier:
                    return {"subnetId": found.get("SubnetId"), "routeTableId": table["RouteTableId"]}
        return None

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        cloud.client("ec2").disassociate_route_table(AssociationId=identifier)
