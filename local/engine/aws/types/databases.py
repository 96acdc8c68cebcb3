"""RDS instances and the subnets that they lie in."""

from __future__ import annotations

from typing import Any

from local.engine.aws import tagging
from local.engine.aws.cloud import Cloud
from local.engine.aws.errors import AwsError
from local.engine.aws.kinds import Kind, Values, kind
from local.engine.aws.parts import table
from local.engine.aws.schema import flag, names, number, text

NAME = r"[a-zA-Z](?!.*--)[a-zA-Z0-9-]*(?<!-)"


def _retag(cloud: Cloud, arn: str, want: Values) -> None:
    rds = cloud.client("rds")
    write, remove = tagging.differences(_tags(cloud, arn), want)
    if write:
        rds.add_tags_to_resource(ResourceName=arn, Tags=tagging.pairs(write))
    if remove:
        rds.remove_tags_from_resource(ResourceName=arn, TagKeys=remove)


def _tags(cloud: Cloud, arn: str) -> dict[str, str]:
    return tagging.plain(cloud.client("rds").list_tags_for_resource(ResourceName=arn)["TagList"])


@kind("aws:rds/subnetGroup:SubnetGroup")
class SubnetGroup(Kind):
    named_by = "name"
    properties = {
        "name": text(required=True, replaces=True, pattern=r"[a-z0-9 ._-]+", longest=255),
        "description": text(),
        "subnetIds": names(required=True),
    }

    def create(self, cloud: Cloud, want: Values) -> str:
        subnets = cloud.client("ec2").describe_subnets(SubnetIds=want["subnetIds"])["Subnets"]
        if len({subnet["AvailabilityZone"] for subnet in subnets}) < 2:
            raise AwsError(
                "CreateDBSubnetGroup: subnets must be in two zones at least (DBSubnetGroupDoesNotCoverEnoughAZs)"
            )
        cloud.client("rds").create_db_subnet_group(
            DBSubnetGroupName=want["name"],
            DBSubnetGroupDescription=want.get("description", "Managed by Pulumi"),
            SubnetIds=want["subnetIds"],
            Tags=tagging.pairs(tagging.wanted(want)),
        )
        return want["name"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            cloud.client("rds").modify_db_subnet_group(
                DBSubnetGroupName=identifier,
                DBSubnetGroupDescription=want.get("description", "Managed by Pulumi"),
                SubnetIds=want["subnetIds"],
            )
            if cloud.find(lambda: self.read(cloud, identifier, want)) is None:
                # The simulation loses a group that it changes.
                self.create(cloud, want)
        _retag(cloud, cloud.arn("rds", f"subgrp:{identifier}"), want)

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("rds").describe_db_subnet_groups(DBSubnetGroupName=identifier)["DBSubnetGroups"][0]
        described = found["DBSubnetGroupDescription"]
        return {
            "arn": found["DBSubnetGroupArn"],
            "name": identifier,
            "description": described if described != "Managed by Pulumi" or "description" in known else None,
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in found["Subnets"]],
            "vpcId": found["VpcId"],
            "tagsAll": _tags(cloud, found["DBSubnetGroupArn"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        for instance in cloud.client("rds").describe_db_instances()["DBInstances"]:
            if instance.get("DBSubnetGroup", {}).get("DBSubnetGroupName") == identifier:
                name = instance["DBInstanceIdentifier"]
                raise AwsError(
                    f"DeleteDBSubnetGroup: {identifier} is in use by {name} (InvalidDBSubnetGroupStateFault)"
                )
        cloud.client("rds").delete_db_subnet_group(DBSubnetGroupName=identifier)


# Property of the SDK -> parameter of the API, for those that can be changed.
_CHANGEABLE = {
    "instanceClass": "DBInstanceClass",
    "allocatedStorage": "AllocatedStorage",
    "maxAllocatedStorage": "MaxAllocatedStorage",
    "storageType": "StorageType",
    "engineVersion": "EngineVersion",
    "password": "MasterUserPassword",
    "multiAz": "MultiAZ",
    "backupRetentionPeriod": "BackupRetentionPeriod",
    "deletionProtection": "DeletionProtection",
    "copyTagsToSnapshot": "CopyTagsToSnapshot",
    "autoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "vpcSecurityGroupIds": "VpcSecurityGroupIds",
    "publiclyAccessible": "PubliclyAccessible",
}
_FIXED = {
    "identifier": "DBInstanceIdentifier",
    "engine": "Engine",
    "dbName": "DBName",
    "username": "MasterUsername",
    "dbSubnetGroupName": "DBSubnetGroupName",
    "storageEncrypted": "StorageEncrypted",
}


@kind("aws:rds/instance:Instance")
class Instance(Kind):
    named_by = "identifier"
    properties = {
        "identifier": text(required=True, replaces=True, pattern=NAME, longest=63),
        "engine": text(required=True, replaces=True, choices=("postgres", "mysql", "mariadb")),
        "engineVersion": text(),
        "instanceClass": text(required=True, pattern=r"db\.[a-z0-9]+\.[a-z0-9]+"),
        "allocatedStorage": number(required=True),
        "maxAllocatedStorage": number(),
        "storageType": text(choices=("gp2", "gp3", "io1", "io2", "standard")),
        "storageEncrypted": flag(replaces=True),
        "dbName": text(replaces=True, pattern=r"[A-Za-z_][A-Za-z0-9_]*", longest=63),
        "username": text(required=True, replaces=True, pattern=r"[a-zA-Z][a-zA-Z0-9_]*", longest=63),
        "password": text(required=True, secret=True, longest=128),
        "dbSubnetGroupName": text(required=True, replaces=True),
        "vpcSecurityGroupIds": names(computed=True),
        "publiclyAccessible": flag(),
        "multiAz": flag(),
        "backupRetentionPeriod": number(choices=tuple(str(days) for days in range(36))),
        "deletionProtection": flag(),
        "copyTagsToSnapshot": flag(),
        "autoMinorVersionUpgrade": flag(computed=True),
        "skipFinalSnapshot": flag(),
        "finalSnapshotIdentifier": text(pattern=NAME, longest=255),
    }

    def judge(self, want: Values) -> list[tuple[str, str]]:
        if not want.get("skipFinalSnapshot") and not want.get("finalSnapshotIdentifier"):
            return [("finalSnapshotIdentifier", "finalSnapshotIdentifier is missing, or set skipFinalSnapshot")]
        password = want.get("password")
        if isinstance(password, str) and len(password) < 8:
            return [("password", "password: a master password has 8 characters at least")]
        return []

    def create(self, cloud: Cloud, want: Values) -> str:
        rds = cloud.client("rds")
        rds.describe_db_subnet_groups(DBSubnetGroupName=want["dbSubnetGroupName"])
        if groups := want.get("vpcSecurityGroupIds"):
            cloud.client("ec2").describe_security_groups(GroupIds=groups)
        rds.create_db_instance(**self._said(want, {**_FIXED, **_CHANGEABLE}), Tags=tagging.pairs(tagging.wanted(want)))
        return want["identifier"]

    def settle(self, cloud: Cloud, identifier: str, want: Values, had: Values) -> None:
        if had:
            said = self._said(want, _CHANGEABLE)
            cloud.client("rds").modify_db_instance(DBInstanceIdentifier=identifier, ApplyImmediately=True, **said)
        _retag(cloud, cloud.arn("rds", f"db:{identifier}"), want)

    def _said(self, want: Values, names: dict[str, str]) -> dict[str, Any]:
        numbers = ("allocatedStorage", "maxAllocatedStorage", "backupRetentionPeriod")
        return {
            parameter: int(want[name]) if name in numbers else want[name]
            for name, parameter in names.items()
            if name in want
        }

    def read(self, cloud: Cloud, identifier: str, known: Values) -> Values | None:
        found = cloud.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
        endpoint = table(found, "Endpoint")
        seen = {
            name: found.get(parameter)
            for name, parameter in {**_FIXED, **_CHANGEABLE}.items()
            if name not in ("password", "vpcSecurityGroupIds", "dbSubnetGroupName")
        }
        # The simulation may not keep these.
        for name in ("maxAllocatedStorage", "autoMinorVersionUpgrade", "storageType", "backupRetentionPeriod"):
            if seen[name] is None:
                seen[name] = known.get(name)
        return {
            **seen,
            "arn": found["DBInstanceArn"],
            "address": endpoint.get("Address"),
            "port": endpoint.get("Port"),
            "endpoint": f"{endpoint.get('Address')}:{endpoint.get('Port')}",
            "status": found["DBInstanceStatus"],
            "resourceId": found.get("DbiResourceId"),
            "dbSubnetGroupName": (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"),
            "vpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups", [])],
            "skipFinalSnapshot": known.get("skipFinalSnapshot"),
            "finalSnapshotIdentifier": known.get("finalSnapshotIdentifier"),
            "tagsAll": _tags(cloud, found["DBInstanceArn"]),
        }

    def delete(self, cloud: Cloud, identifier: str, known: Values) -> None:
        rds = cloud.client("rds")
        found = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
        if found.get("DeletionProtection"):
            raise AwsError(
                f"DeleteDBInstance: {identifier} has deletion protection on: set "
                "manta:aws.database.deletionProtection=false, bring the stack up, and destroy it then "
                "(InvalidParameterCombination)"
            )
        if known.get("skipFinalSnapshot"):
            rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)
        else:
            snapshot = known["finalSnapshotIdentifier"]
            rds.delete_db_instance(DBInstanceIdentifier=identifier, FinalDBSnapshotIdentifier=snapshot)
