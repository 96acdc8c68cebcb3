"""The least of a platform that Karpenter works on, made with boto3 and Helm: until the stack platform-sim is tested."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import boto3

from infra.aws.karpenter_policy import statements
from infra.aws.naming import Place
from infra.aws.policies import document, pod_trust, trust
from local.sim.cloud.config import ACCOUNT, DEPLOYER
from local.sim.machine import Machine
from local.sim.settings import SimSettings

PLACE = Place("sim", ACCOUNT, "us-east-1", "tests")
NAME = PLACE.cluster


def bring_up(settings: SimSettings, machine: Machine) -> None:
    environment = machine.engine.environment
    session: Any = boto3.Session(region_name=PLACE.region)
    keys = json.loads((settings.aws_dir / "keys.json").read_text())
    arguments = {
        "endpoint_url": settings.endpoint,
        "aws_access_key_id": keys["access_key"],
        "aws_secret_access_key": keys["secret_key"],
    }
    ec2, iam, eks, sqs, events, ssm = (
        session.client(name, **arguments) for name in ("ec2", "iam", "eks", "sqs", "events", "ssm")
    )
    del ssm
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    tags = [{"Key": "karpenter.sh/discovery", "Value": NAME}]
    subnets = []
    for number, zone in enumerate("abc"):
        made = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")
        subnets.append(made["Subnet"]["SubnetId"])
    group = ec2.create_security_group(GroupName=NAME, Description="nodes", VpcId=vpc)["GroupId"]
    ec2.create_tags(Resources=[*subnets, group], Tags=tags)
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "manta:environment", "Value": "sim"}])
    node = iam.create_role(RoleName=f"{NAME}-node", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))["Role"]["Arn"]
    profile = iam.create_instance_profile(InstanceProfileName=f"{NAME}-node")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=f"{NAME}-node", RoleName=f"{NAME}-node")
    eks.create_cluster(
        name=NAME,
        version="1.34",
        roleArn=node,
        resourcesVpcConfig={"subnetIds": subnets, "securityGroupIds": [group]},
        kubernetesNetworkConfig={"serviceIpv4Cidr": "172.20.0.0/16"},
    )
    # Karpenter's chart spreads it over zones, and zones are known by the system nodes.
    eks.create_nodegroup(clusterName=NAME, nodegroupName=f"{NAME}-system", nodeRole=node, subnets=subnets)
    admin = f"arn:aws:iam::{ACCOUNT}:user/{DEPLOYER}"
    eks.create_access_entry(clusterName=NAME, principalArn=admin)
    eks.associate_access_policy(
        clusterName=NAME,
        principalArn=admin,
        policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        accessScope={"type": "cluster"},
    )
    sqs.create_queue(QueueName=f"{NAME}-karpenter")
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{NAME}-karpenter"
    pattern = {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}
    events.put_rule(Name=f"{NAME}-spot", EventPattern=json.dumps(pattern))
    events.put_targets(Rule=f"{NAME}-spot", Targets=[{"Id": "karpenter", "Arn": queue}])
    role = iam.create_role(
        RoleName=f"{NAME}-karpenter",
        AssumeRolePolicyDocument=pod_trust(ACCOUNT, PLACE.cluster_arn, "kube-system", "karpenter"),
    )["Role"]["Arn"]
    policy = document(*statements(PLACE, queue, node, profile, ()))
    iam.put_role_policy(RoleName=f"{NAME}-karpenter", PolicyName="karpenter", PolicyDocument=policy)
    eks.create_pod_identity_association(
        clusterName=NAME, namespace="kube-system", serviceAccount="karpenter", roleArn=role
    )
    image = json.loads(_run(machine, "kubectl", "get", "configmap", "-n", "kube-public", "manta-images", "-o", "json"))
    repository, _, digest = image["data"]["karpenter"].partition("@")
    charts = environment["MANTA_CHARTS"]
    _run(machine, "helm", "upgrade", "--install", "karpenter-crd", f"{charts}/karpenter-crd", "-n", "kube-system")
    values = {
        "replicas": 1,
        "serviceAccount": {"name": "karpenter"},
        "settings": {"clusterName": NAME, "interruptionQueue": f"{NAME}-karpenter"},
        "controller": {
            "image": {"repository": repository, "tag": "1.14.1", "digest": digest},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        },
    }
    command = ("helm", "upgrade", "--install", "karpenter", f"{charts}/karpenter", "-n", "kube-system", "--skip-crds")
    _run(machine, *command, "-f", "-", text=json.dumps(values))


def _run(machine: Machine, *command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, env=dict(machine.engine.environment), input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
