"""PostgreSQL for MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.cluster import Cluster
from infra.aws.naming import Place
from infra.aws.network import Network
from infra.aws.secret import keep
from infra.kubernetes.credentials import RandomSecret
from infra.settings.aws_data import DatabaseSettings

NAME, USER, PORT = "mlflow", "mlflow", 5432
# The one in the image of the runs; SQLAlchemy's own choice changes with its versions.
DRIVER = "postgresql+psycopg2"


@dataclass(frozen=True)
class DatabaseArgs:
    place: Place
    settings: DatabaseSettings
    network: Network
    cluster: Cluster


class Database(pulumi.ComponentResource):
    """`uri` is what MLflow connects with, secret. The cluster's nodes reach the database, and nothing else does."""

    def __init__(self, name: str, args: DatabaseArgs, *, protect: bool, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:Database", name, None, opts)
        place, settings = args.place, args.settings
        inside = pulumi.ResourceOptions(parent=self)
        title = f"{place.cluster}-mlflow"
        group = aws.ec2.SecurityGroup(
            "database",
            name=title,
            description="PostgreSQL from the nodes of the cluster",
            vpc_id=args.network.vpc.id,
            tags={"Name": title},
            opts=inside,
        )
        aws.vpc.SecurityGroupIngressRule(
            "database",
            security_group_id=group.id,
            referenced_security_group_id=args.cluster.security_group,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            opts=inside,
        )
        subnets = aws.rds.SubnetGroup(
            "database", name=title, subnet_ids=[subnet.id for subnet in args.network.private], opts=inside
        )
        password = RandomSecret("database-password", 40, inside).text
        instance = aws.rds.Instance(
            "database",
            identifier=title,
            engine="postgres",
            engine_version=settings.version,
            instance_class=settings.instance,
            allocated_storage=settings.size_gib,
            max_allocated_storage=settings.size_gib * 5,
            storage_type="gp3",
            storage_encrypted=True,
            db_name=NAME,
            username=USER,
            password=password,
            db_subnet_group_name=subnets.name,
            vpc_security_group_ids=[group.id],
            publicly_accessible=False,
            multi_az=settings.multi_az,
            backup_retention_period=settings.backup_days,
            deletion_protection=settings.deletion_protection,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            skip_final_snapshot=not protect,
            final_snapshot_identifier=f"{title}-final" if protect else None,
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        content = pulumi.Output.all(instance.address, password).apply(
            lambda values: json.dumps(
                {"host": values[0], "port": PORT, "dbname": NAME, "username": USER, "password": values[1]}
            )
        )
        keep("database", f"{place.cluster}/mlflow/database", content, protect=protect, opts=inside)
        self.uri = pulumi.Output.secret(
            pulumi.Output.concat(
                f"{DRIVER}://{USER}:", password, "@", instance.address, f":{PORT}/{NAME}?sslmode=require"
            )
        )
        self.register_outputs({})
