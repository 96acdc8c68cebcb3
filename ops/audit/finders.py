"""What is looked for in an account, as a table: how each kind is listed, and where its id, name and tags stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Item = Mapping[str, Any]


def _nothing(_: Item) -> bool:
    return False


@dataclass(frozen=True)
class Finder:
    """`operation` of boto3's client for `service` lists items below `key`, each with its `id` (and `name`, if that is
    another field). `gone` tells what is listed though it ended. `tags_of` names the operation that gives an item's tags
    when the list does not, with the argument that takes the field `tags_by`. `vpc`: the field that names its VPC.
    """

    service: str
    kind: str
    operation: str
    key: str
    id: str = ""
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    gone: Callable[[Item], bool] = _nothing
    tags_of: tuple[str, str, str] | None = None
    vpc: str = ""


def _ended(field_: str, *states: str) -> Callable[[Item], bool]:
    return lambda item: item.get(field_) in states


def _terminated(item: Item) -> bool:
    return item["State"]["Name"] == "terminated"


FINDERS = (
    Finder("ec2", "instance", "describe_instances", "Reservations[].Instances[]", "InstanceId", gone=_terminated),
    Finder("ec2", "volume", "describe_volumes", "Volumes", "VolumeId", gone=_ended("State", "deleting", "deleted")),
    Finder("ec2", "network interface", "describe_network_interfaces", "NetworkInterfaces",
           "NetworkInterfaceId", vpc="VpcId"),
    Finder("ec2", "launch template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId",
           "LaunchTemplateName"),
    Finder("ec2", "spot request", "describe_spot_instance_requests", "SpotInstanceRequests", "SpotInstanceRequestId",
           gone=_ended("State", "closed", "cancelled", "failed")),
    Finder("ec2", "NAT gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId",
           gone=_ended("State", "deleted", "deleting"), vpc="VpcId"),
    Finder("ec2", "elastic address", "describe_addresses", "Addresses", "AllocationId"),
    Finder("ec2", "VPC endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId",
           gone=_ended("State", "deleted", "deleting"), vpc="VpcId"),
    Finder("ec2", "internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    Finder("ec2", "route table", "describe_route_tables", "RouteTables", "RouteTableId", vpc="VpcId"),
    Finder("ec2", "security group", "describe_security_groups", "SecurityGroups", "GroupId", "GroupName", vpc="VpcId"),
    Finder("ec2", "flow log", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    Finder("ec2", "subnet", "describe_subnets", "Subnets", "SubnetId", vpc="VpcId"),
    Finder("ec2", "VPC", "describe_vpcs", "Vpcs", "VpcId"),
    Finder("ec2", "snapshot", "describe_snapshots", "Snapshots", "SnapshotId", arguments={"OwnerIds": ["self"]}),
    Finder("eks", "cluster", "list_clusters", "clusters"),
    Finder("autoscaling", "group", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupARN",
           "AutoScalingGroupName"),
    Finder("iam", "role", "list_roles", "Roles", "RoleName", tags_of=("list_role_tags", "RoleName", "RoleName")),
    Finder("iam", "policy", "list_policies", "Policies", "Arn", "PolicyName", {"Scope": "Local"}),
    Finder("iam", "instance profile", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    Finder("iam", "OIDC provider", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn",
           tags_of=("list_open_id_connect_provider_tags", "OpenIDConnectProviderArn", "Arn")),
    Finder("sqs", "queue", "list_queues", "QueueUrls"),
    Finder("events", "rule", "list_rules", "Rules", "Arn", "Name",
           tags_of=("list_tags_for_resource", "ResourceARN", "Arn")),
    Finder("s3", "bucket", "list_buckets", "Buckets", "Name"),
    Finder("kms", "alias", "list_aliases", "Aliases", "AliasArn", "AliasName"),
    Finder("logs", "log group", "describe_log_groups", "logGroups", "logGroupName",
           tags_of=("list_tags_log_group", "logGroupName", "logGroupName")),
    Finder("elbv2", "load balancer", "describe_load_balancers", "LoadBalancers", "LoadBalancerArn", "LoadBalancerName",
           vpc="VpcId"),
    Finder("elbv2", "target group", "describe_target_groups", "TargetGroups", "TargetGroupArn", "TargetGroupName",
           vpc="VpcId"),
    Finder("elb", "classic load balancer", "describe_load_balancers", "LoadBalancerDescriptions", "LoadBalancerName",
           vpc="VPCId"),
    Finder("rds", "database", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    Finder("rds", "database snapshot", "describe_db_snapshots", "DBSnapshots", "DBSnapshotIdentifier"),
    Finder("rds", "subnet group", "describe_db_subnet_groups", "DBSubnetGroups", "DBSubnetGroupName"),
    Finder("rds", "parameter group", "describe_db_parameter_groups", "DBParameterGroups", "DBParameterGroupName"),
    Finder("secretsmanager", "secret", "list_secrets", "SecretList", "ARN", "Name",
           gone=lambda item: item.get("DeletedDate") is not None),
    Finder("ecr", "repository", "describe_repositories", "repositories", "repositoryName",
           tags_of=("list_tags_for_resource", "resourceArn", "repositoryArn")),
    Finder("budgets", "budget", "describe_budgets", "Budgets", "BudgetName"),
    Finder("cloudwatch", "alarm", "describe_alarms", "MetricAlarms", "AlarmArn", "AlarmName"),
    Finder("sns", "topic", "list_topics", "Topics", "TopicArn"),
)  # fmt: skip
