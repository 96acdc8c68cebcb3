"""For each type: something to make, a change in place, and a change that means another resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Inputs = dict[str, Any]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


def document(action: str) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "A", "Effect": "Allow", "Action": action, "Resource": "*"}]}
    )


def bucket_document(bucket: str, action: str) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def queue_document(arn: str, action: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass(frozen=True)
class World:
    """What the cases stand on, made by boto3 for each test."""

    vpc: str
    subnets: list[str]
    gateway: str
    table: str
    table2: str
    address: str
    group: str
    role: str
    role2: str
    key: str
    key2: str
    log: str
    queue: str
    queue_arn: str
    rule: str
    cluster: str
    bucket: str
    repository: str
    subnet_group: str
    secret: str
    template: str
    account: str = "123456789012"

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{name}"


@dataclass(frozen=True)
class Case:
    token: str
    made: Callable[[World], Inputs]
    changed: Callable[[World], Inputs] | None = None  # None: nothing of it can be changed in place
    replaced: Callable[[World], Inputs] | None = None


def tags(**values: str) -> Inputs:
    return {"tags": values}


_DATABASE: Inputs = {
    "identifier": "db", "engine": "postgres", "engineVersion": "17.6", "instanceClass": "db.t4g.small",
    "allocatedStorage": 20, "username": "mlflow", "password": "not-a-secret-1", "skipFinalSnapshot": True,
    "storageEncrypted": True, "storageType": "gp3", "dbName": "mlflow", "multiAz": False, "backupRetentionPeriod": 1,
}  # fmt: skip
_BUDGET: Inputs = {
    "name": "b", "budgetType": "COST", "timeUnit": "MONTHLY", "limitAmount": "100", "limitUnit": "USD",
    "costFilters": [{"name": "TagKeyValue", "values": ["user:a$b"]}],
    "notifications": [
        {"comparisonOperator": "GREATER_THAN", "threshold": 80, "thresholdType": "PERCENTAGE",
         "notificationType": "ACTUAL", "subscriberEmailAddresses": ["a@example.com"]}
    ],
}  # fmt: skip
_LIFECYCLE = json.dumps({"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any",
    "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]})  # fmt: skip


def cluster(w: World, **more: Any) -> Inputs:
    return {
        "name": "made", "roleArn": w.role_arn(w.role), "version": "1.34", "vpcConfig": {"subnetIds": w.subnets},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "encryptionConfig": {"provider": {"keyArn": w.key}, "resources": ["secrets"]}, **more,
    }  # fmt: skip


def group(w: World, **more: Any) -> Inputs:
    return {
        "clusterName": w.cluster, "nodeGroupName": "g", "nodeRoleArn": w.role_arn(w.role), "subnetIds": w.subnets,
        "scalingConfig": {"desiredSize": 1, "minSize": 1, "maxSize": 2}, "instanceTypes": ["m7i.large"],
        "amiType": "AL2023_x86_64_STANDARD", "capacityType": "ON_DEMAND",
        "launchTemplate": {"id": w.template, "version": "1"}, **more,
    }  # fmt: skip


def template(size: int) -> Inputs:
    ebs = {"volumeSize": size, "volumeType": "gp3", "encrypted": "true", "deleteOnTermination": "true"}
    return {
        "name": "made", "updateDefaultVersion": True,
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1, "httpEndpoint": "enabled"},
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": ebs}],
        "tagSpecifications": [{"resourceType": "instance", "tags": {"a": "b"}}],
    }  # fmt: skip


def lifecycle(w: World, days: int) -> Inputs:
    rule = {
        "id": "r", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days},
        "noncurrentVersionExpiration": {"noncurrentDays": 7},
        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 2},
    }  # fmt: skip
    return {"bucket": w.bucket, "rules": [rule]}


CASES = [
    Case("aws:ec2/vpc:Vpc", lambda w: {"cidrBlock": "10.9.0.0/16", "enableDnsHostnames": True},
         lambda w: {"cidrBlock": "10.9.0.0/16", "enableDnsHostnames": False, **tags(a="b")},
         lambda w: {"cidrBlock": "10.8.0.0/16"}),
    Case("aws:ec2/subnet:Subnet",
         lambda w: {"vpcId": w.vpc, "cidrBlock": "10.1.9.0/24", "availabilityZone": "us-east-1a"},
         lambda w: {"vpcId": w.vpc, "cidrBlock": "10.1.9.0/24", "availabilityZone": "us-east-1a", **tags(x="y")},
         lambda w: {"vpcId": w.vpc, "cidrBlock": "10.1.8.0/24", "availabilityZone": "us-east-1a"}),
    Case("aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation",
         lambda w: {"vpcId": w.vpc, "cidrBlock": "100.64.0.0/16"}, None,
         lambda w: {"vpcId": w.vpc, "cidrBlock": "100.65.0.0/16"}),
    Case("aws:ec2/vpcEndpoint:VpcEndpoint",
         lambda w: {"vpcId": w.vpc, "serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway",
                    "routeTableIds": [w.table]},
         lambda w: {"vpcId": w.vpc, "serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway",
                    "routeTableIds": [w.table2]},
         lambda w: {"vpcId": w.vpc, "serviceName": "com.amazonaws.us-east-1.dynamodb", "vpcEndpointType": "Gateway",
                    "routeTableIds": [w.table]}),
    Case("aws:ec2/flowLog:FlowLog",
         lambda w: {"vpcId": w.vpc, "trafficType": "REJECT", "logDestinationType": "cloud-watch-logs",
                    "logDestination": f"arn:aws:logs:us-east-1:{w.account}:log-group:{w.log}",
                    "iamRoleArn": w.role_arn(w.role), "maxAggregationInterval": 600},
         None,
         lambda w: {"vpcId": w.vpc, "trafficType": "ALL", "logDestinationType": "cloud-watch-logs",
                    "logDestination": f"arn:aws:logs:us-east-1:{w.account}:log-group:{w.log}",
                    "iamRoleArn": w.role_arn(w.role), "maxAggregationInterval": 600}),
    Case("aws:ec2/tag:Tag", lambda w: {"resourceId": w.group, "key": "k", "value": "one"},
         lambda w: {"resourceId": w.group, "key": "k", "value": "two"},
         lambda w: {"resourceId": w.group, "key": "l", "value": "one"}),
    Case("aws:ec2/internetGateway:InternetGateway", lambda w: {}, lambda w: tags(a="b")),
    Case("aws:ec2/natGateway:NatGateway", lambda w: {"allocationId": w.address, "subnetId": w.subnets[0]},
         lambda w: {"allocationId": w.address, "subnetId": w.subnets[0], **tags(a="b")},
         lambda w: {"allocationId": w.address, "subnetId": w.subnets[1]}),
    Case("aws:ec2/eip:Eip", lambda w: {"domain": "vpc"}, lambda w: {"domain": "vpc", **tags(a="b")}),
    Case("aws:ec2/routeTable:RouteTable", lambda w: {"vpcId": w.vpc}, lambda w: {"vpcId": w.vpc, **tags(a="b")}),
    Case("aws:ec2/route:Route",
         lambda w: {"routeTableId": w.table, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": w.gateway}, None,
         lambda w: {"routeTableId": w.table2, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": w.gateway}),
    Case("aws:ec2/routeTableAssociation:RouteTableAssociation",
         lambda w: {"subnetId": w.subnets[0], "routeTableId": w.table}, None,
         lambda w: {"subnetId": w.subnets[0], "routeTableId": w.table2}),
    Case("aws:ec2/securityGroup:SecurityGroup", lambda w: {"name": "made", "description": "d", "vpcId": w.vpc},
         lambda w: {"name": "made", "description": "d", "vpcId": w.vpc, **tags(a="b")},
         lambda w: {"name": "other", "description": "d", "vpcId": w.vpc}),
    Case("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", lambda w: {"vpcId": w.vpc},
         lambda w: {"vpcId": w.vpc, **tags(a="b")}),
    Case("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
         lambda w: {"securityGroupId": w.group, "ipProtocol": "tcp", "fromPort": 443, "toPort": 443,
                    "cidrIpv4": "10.0.0.0/8"}, None,
         lambda w: {"securityGroupId": w.group, "ipProtocol": "tcp", "fromPort": 444, "toPort": 444,
                    "cidrIpv4": "10.0.0.0/8"}),
    Case("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
         lambda w: {"securityGroupId": w.group, "ipProtocol": "udp", "fromPort": 53, "toPort": 53,
                    "referencedSecurityGroupId": w.group}, None,
         lambda w: {"securityGroupId": w.group, "ipProtocol": "tcp", "fromPort": 53, "toPort": 53,
                    "referencedSecurityGroupId": w.group}),
    Case("aws:ec2/launchTemplate:LaunchTemplate", lambda w: template(20), lambda w: template(30),
         lambda w: {**template(20), "name": "other"}),
    Case("aws:iam/role:Role", lambda w: {"name": "made", "assumeRolePolicy": TRUST},
         lambda w: {"name": "made", "assumeRolePolicy": TRUST.replace("ec2.", "eks."), **tags(a="b")},
         lambda w: {"name": "other", "assumeRolePolicy": TRUST}),
    Case("aws:iam/rolePolicy:RolePolicy", lambda w: {"name": "p", "role": w.role, "policy": document("s3:GetObject")},
         lambda w: {"name": "p", "role": w.role, "policy": document("s3:PutObject")},
         lambda w: {"name": "q", "role": w.role, "policy": document("s3:GetObject")}),
    Case("aws:iam/rolePolicyAttachment:RolePolicyAttachment",
         lambda w: {"role": w.role, "policyArn": "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"}, None,
         lambda w: {"role": w.role, "policyArn": "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"}),
    Case("aws:iam/instanceProfile:InstanceProfile", lambda w: {"name": "made", "role": w.role},
         lambda w: {"name": "made", "role": w.role2}, lambda w: {"name": "other", "role": w.role}),
    Case("aws:iam/openIdConnectProvider:OpenIdConnectProvider",
         lambda w: {"url": "https://example.com", "clientIdLists": ["a"]},
         lambda w: {"url": "https://example.com", "clientIdLists": ["a"], **tags(a="b")},
         lambda w: {"url": "https://example.org", "clientIdLists": ["a"]}),
    Case("aws:kms/key:Key", lambda w: {"description": "d", "enableKeyRotation": True, "deletionWindowInDays": 7},
         lambda w: {"description": "e", "enableKeyRotation": False, "deletionWindowInDays": 7, **tags(a="b")}),
    Case("aws:kms/alias:Alias", lambda w: {"name": "alias/made", "targetKeyId": w.key.rpartition("/")[2]},
         lambda w: {"name": "alias/made", "targetKeyId": w.key2.rpartition("/")[2]},
         lambda w: {"name": "alias/other", "targetKeyId": w.key.rpartition("/")[2]}),
    Case("aws:sqs/queue:Queue", lambda w: {"name": "made", "messageRetentionSeconds": 300},
         lambda w: {"name": "made", "messageRetentionSeconds": 600, **tags(a="b")},
         lambda w: {"name": "other", "messageRetentionSeconds": 300}),
    Case("aws:sqs/queuePolicy:QueuePolicy",
         lambda w: {"queueUrl": w.queue, "policy": queue_document(w.queue_arn, "sqs:SendMessage")},
         lambda w: {"queueUrl": w.queue, "policy": queue_document(w.queue_arn, "sqs:ReceiveMessage")}),
    Case("aws:cloudwatch/eventRule:EventRule", lambda w: {"name": "made", "eventPattern": '{"source": ["aws.ec2"]}'},
         lambda w: {"name": "made", "eventPattern": '{"source": ["aws.health"]}', **tags(a="b")},
         lambda w: {"name": "other", "eventPattern": '{"source": ["aws.ec2"]}'}),
    Case("aws:cloudwatch/eventTarget:EventTarget", lambda w: {"rule": w.rule, "arn": w.queue_arn, "targetId": "t"},
         lambda w: {"rule": w.rule, "arn": w.queue_arn + "2", "targetId": "t"},
         lambda w: {"rule": w.rule, "arn": w.queue_arn, "targetId": "u"}),
    Case("aws:cloudwatch/logGroup:LogGroup", lambda w: {"name": "/made", "retentionInDays": 30},
         lambda w: {"name": "/made", "retentionInDays": 60, **tags(a="b")},
         lambda w: {"name": "/other", "retentionInDays": 30}),
    Case("aws:eks/cluster:Cluster", cluster, lambda w: cluster(w, version="1.35", deletionProtection=False),
         lambda w: cluster(w, name="other")),
    Case("aws:eks/nodeGroup:NodeGroup", group,
         lambda w: group(w, scalingConfig={"desiredSize": 2, "minSize": 1, "maxSize": 3}, labels={"a": "b"}),
         lambda w: group(w, instanceTypes=["m6i.large"])),
    Case("aws:eks/addon:Addon",
         lambda w: {"clusterName": w.cluster, "addonName": "coredns", "addonVersion": "v1.12.4-eksbuild.1"},
         lambda w: {"clusterName": w.cluster, "addonName": "coredns", "addonVersion": "v1.12.5-eksbuild.1",
                    "configurationValues": '{"replicaCount": 2}'},
         lambda w: {"clusterName": w.cluster, "addonName": "vpc-cni", "addonVersion": "v1.20.4-eksbuild.1"}),
    Case("aws:eks/accessEntry:AccessEntry",
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role), "type": "STANDARD"},
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role), "type": "STANDARD",
                    "kubernetesGroups": ["viewers"]},
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role), "type": "EC2_LINUX"}),
    Case("aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role2), "accessScope": {"type": "cluster"},
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"},
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role2),
                    "accessScope": {"type": "namespace", "namespaces": ["ray"]},
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"},
         lambda w: {"clusterName": w.cluster, "principalArn": w.role_arn(w.role2), "accessScope": {"type": "cluster"},
                    "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"}),
    Case("aws:eks/podIdentityAssociation:PodIdentityAssociation",
         lambda w: {"clusterName": w.cluster, "namespace": "ray", "serviceAccount": "ray",
                    "roleArn": w.role_arn(w.role)},
         lambda w: {"clusterName": w.cluster, "namespace": "ray", "serviceAccount": "ray",
                    "roleArn": w.role_arn(w.role2)},
         lambda w: {"clusterName": w.cluster, "namespace": "x", "serviceAccount": "ray",
                    "roleArn": w.role_arn(w.role)}),
    Case("aws:s3/bucket:Bucket", lambda w: {"bucket": "made-by-a-test"},
         lambda w: {"bucket": "made-by-a-test", **tags(a="b")}, lambda w: {"bucket": "another-of-a-test"}),
    Case("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
         lambda w: {"bucket": w.bucket, "blockPublicAcls": True, "blockPublicPolicy": True},
         lambda w: {"bucket": w.bucket, "blockPublicAcls": True, "restrictPublicBuckets": True}),
    Case("aws:s3/bucketOwnershipControls:BucketOwnershipControls",
         lambda w: {"bucket": w.bucket, "rule": {"objectOwnership": "BucketOwnerEnforced"}},
         lambda w: {"bucket": w.bucket, "rule": {"objectOwnership": "ObjectWriter"}}),
    Case("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
         lambda w: {"bucket": w.bucket, "rules": [
             {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}, "bucketKeyEnabled": True}]},
         lambda w: {"bucket": w.bucket, "rules": [
             {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}, "bucketKeyEnabled": True}]}),
    Case("aws:s3/bucketVersioning:BucketVersioning",
         lambda w: {"bucket": w.bucket, "versioningConfiguration": {"status": "Enabled"}},
         lambda w: {"bucket": w.bucket, "versioningConfiguration": {"status": "Suspended"}}),
    Case("aws:s3/bucketPolicy:BucketPolicy",
         lambda w: {"bucket": w.bucket, "policy": bucket_document(w.bucket, "s3:GetObject")},
         lambda w: {"bucket": w.bucket, "policy": bucket_document(w.bucket, "s3:PutObject")}),
    Case("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", lambda w: lifecycle(w, 30),
         lambda w: lifecycle(w, 60)),
    Case("aws:ecr/repository:Repository",
         lambda w: {"name": "made/ray", "imageTagMutability": "IMMUTABLE",
                    "imageScanningConfiguration": {"scanOnPush": True}},
         lambda w: {"name": "made/ray", "imageTagMutability": "MUTABLE",
                    "imageScanningConfiguration": {"scanOnPush": False}, **tags(a="b")},
         lambda w: {"name": "other/ray", "imageTagMutability": "IMMUTABLE",
                    "imageScanningConfiguration": {"scanOnPush": True}}),
    Case("aws:ecr/lifecyclePolicy:LifecyclePolicy", lambda w: {"repository": w.repository, "policy": _LIFECYCLE},
         lambda w: {"repository": w.repository, "policy": _LIFECYCLE.replace("5", "6")}),
    Case("aws:rds/subnetGroup:SubnetGroup", lambda w: {"name": "made", "subnetIds": w.subnets[:2]},
         lambda w: {"name": "made", "subnetIds": w.subnets}, lambda w: {"name": "other", "subnetIds": w.subnets[:2]}),
    Case("aws:rds/instance:Instance", lambda w: {**_DATABASE, "dbSubnetGroupName": w.subnet_group},
         lambda w: {**_DATABASE, "dbSubnetGroupName": w.subnet_group, "allocatedStorage": 40, **tags(a="b")},
         lambda w: {**_DATABASE, "dbSubnetGroupName": w.subnet_group, "identifier": "other"}),
    Case("aws:secretsmanager/secret:Secret", lambda w: {"name": "made", "recoveryWindowInDays": 0},
         lambda w: {"name": "made", "recoveryWindowInDays": 0, "description": "d", **tags(a="b")},
         lambda w: {"name": "other", "recoveryWindowInDays": 0}),
    Case("aws:secretsmanager/secretVersion:SecretVersion", lambda w: {"secretId": w.secret, "secretString": "one"},
         None,
         lambda w: {"secretId": w.secret, "secretString": "two"}),
    Case("aws:budgets/budget:Budget", lambda w: _BUDGET, lambda w: {**_BUDGET, "limitAmount": "200"},
         lambda w: {**_BUDGET, "name": "c"}),
]  # fmt: skip
