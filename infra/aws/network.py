"""VPC, subnets, ways out, and endpoints for what must not go out."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.addresses import cut
from infra.aws.flow_logs import FlowLogs
from infra.aws.naming import DISCOVERY_TAG, Place
from infra.settings.aws_network import NetworkSettings


@dataclass(frozen=True)
class NetworkArgs:
    place: Place
    settings: NetworkSettings
    log_retention_days: int


class Network(pulumi.ComponentResource):
    """`private` are the subnets of nodes, by zone; `ways_out` is what nodes need before they can pull an image."""

    def __init__(self, name: str, args: NetworkArgs, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Network", name, None, opts)
        self._args = args
        cluster, settings = args.place.cluster, args.settings
        self._inside = pulumi.ResourceOptions(parent=self)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        self.vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=settings.cidr,
            # EKS private endpoints and interface endpoints are found by names in the VPC's own zone.
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=self._tags(cluster),
            opts=kept,
        )
        # Whatever is launched without a security group gets this one, which lets nothing in or out.
        aws.ec2.DefaultSecurityGroup(
            "default", vpc_id=self.vpc.id, tags=self._tags(f"{cluster}-default"), opts=self._inside
        )
        gateway = aws.ec2.InternetGateway("internet", vpc_id=self.vpc.id, tags=self._tags(cluster), opts=self._inside)
        self.ways_out: list[pulumi.Resource] = []
        nets = cut(settings)
        public_table = self._table("public", aws.ec2.RouteTable)
        aws.ec2.Route(
            "public-out",
            route_table_id=public_table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._inside,
        )
        self.public: list[aws.ec2.Subnet] = []
        for zone, block in zip(settings.zones, nets.public, strict=True):
            self.public.append(self._subnet("public", zone, block, {"kubernetes.io/role/elb": "1"}, public_table))
        tables = self._nat(gateway)
        discovered = {"kubernetes.io/role/internal-elb": "1", DISCOVERY_TAG: cluster}
        self.private = [
            self._subnet("private", zone, block, discovered, table)
            for zone, block, table in zip(settings.zones, nets.private, tables, strict=True)
        ]
        self.pods: list[aws.ec2.Subnet] = []
        if settings.pod_cidr:
            second = aws.ec2.VpcIpv4CidrBlockAssociation(
                "pods", vpc_id=self.vpc.id, cidr_block=settings.pod_cidr, opts=self._inside
            )
            for zone, block, table in zip(settings.zones, nets.pods, tables, strict=True):
                self.pods.append(self._subnet("pods", zone, block, {}, table, second))
        self._endpoints([*dict.fromkeys(tables)])
        if settings.flow_logs:
            FlowLogs("flow-logs", args.place, self.vpc, args.log_retention_days, self._inside)
        self.register_outputs({"vpc": self.vpc.id})

    def _tags(self, name: str, **more: str) -> dict[str, str]:
        return {"Name": name, **more}

    def _table(self, name: str, table: type[aws.ec2.RouteTable]) -> aws.ec2.RouteTable:
        title = f"{self._args.place.cluster}-{name}"
        return table(name, vpc_id=self.vpc.id, tags=self._tags(title), opts=self._inside)

    def _subnet(
        self,
        kind: str,
        zone: str,
        block: str,
        tags: dict[str, str],
        table: aws.ec2.RouteTable,
        after: pulumi.Resource | None = None,
    ) -> aws.ec2.Subnet:
        subnet = aws.ec2.Subnet(
            f"{kind}-{zone}",
            vpc_id=self.vpc.id,
            cidr_block=block,
            availability_zone=zone,
            # Nothing gets a public address unless it asks for one: NAT gateways and load balancers bring their own.
            map_public_ip_on_launch=False,
            tags={**self._tags(f"{self._args.place.cluster}-{kind}-{zone}"), **tags},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[after] if after else []),
        )
        joined = aws.ec2.RouteTableAssociation(
            f"{kind}-{zone}", subnet_id=subnet.id, route_table_id=table.id, opts=self._inside
        )
        self.ways_out.append(joined)
        return subnet

    def _nat(self, gateway: aws.ec2.InternetGateway) -> list[aws.ec2.RouteTable]:
        """A private route table for each zone, over one NAT gateway or the zone's own."""
        settings, cluster = self._args.settings, self._args.place.cluster
        gateways: list[aws.ec2.NatGateway] = []
        for number, subnet in enumerate(self.public):
            if number and settings.nat_gateways == "one":
                break
            zone = settings.zones[number]
            title = f"{cluster}-nat-{zone}"
            # Without the internet gateway neither an address nor a NAT gateway can be used, and AWS refuses the former.
            needs = pulumi.ResourceOptions(parent=self, depends_on=[gateway])
            address = aws.ec2.Eip(f"nat-{zone}", domain="vpc", tags=self._tags(title), opts=needs)
            gateways.append(
                aws.ec2.NatGateway(
                    f"nat-{zone}", allocation_id=address.id, subnet_id=subnet.id, tags=self._tags(title), opts=needs
                )
            )
        tables: list[aws.ec2.RouteTable] = []
        for number, zone in enumerate(settings.zones):
            table = self._table(f"private-{zone}", aws.ec2.RouteTable)
            out = aws.ec2.Route(
                f"private-out-{zone}",
                route_table_id=table.id,
                destination_cidr_block="0.0.0.0/0",
                nat_gateway_id=gateways[number if len(gateways) > 1 else 0].id,
                opts=self._inside,
            )
            self.ways_out.append(out)
            tables.append(table)
        return tables

    def _endpoints(self, tables: list[aws.ec2.RouteTable]) -> None:
        """S3 always, for it is free and carries the data past the NAT gateways; the others by setting, by the hour."""
        place, settings = self._args.place, self._args.settings
        s3 = aws.ec2.VpcEndpoint(
            "s3",
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{place.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            tags=self._tags(f"{place.cluster}-s3"),
            opts=self._inside,
        )
        self.ways_out.append(s3)
        if not settings.endpoints:
            return
        group = aws.ec2.SecurityGroup(
            "endpoints",
            name=f"{place.cluster}-endpoints",
            description="HTTPS from the VPC to the interface endpoints",
            vpc_id=self.vpc.id,
            tags=self._tags(f"{place.cluster}-endpoints"),
            opts=self._inside,
        )
        for number, block in enumerate(block for block in (settings.cidr, settings.pod_cidr) if block):
            aws.vpc.SecurityGroupIngressRule(
                f"endpoints-https-{number}",
                security_group_id=group.id,
                cidr_ipv4=block,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                opts=self._inside,
            )
        for service in settings.endpoints:
            endpoint = aws.ec2.VpcEndpoint(
                f"endpoint-{service}",
                vpc_id=self.vpc.id,
                service_name=f"com.amazonaws.{place.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in self.private],
                security_group_ids=[group.id],
                tags=self._tags(f"{place.cluster}-{service}"),
                opts=self._inside,
            )
            self.ways_out.append(endpoint)
