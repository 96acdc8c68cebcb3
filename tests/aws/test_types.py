"""Every type against a real moto server: made, unchanged, refreshed, changed, replaced, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from local.engine.aws import types
from tests.aws.cases import CASES, TRUST, Case, World
from tests.aws.conftest import Account, Provider, RefusedError

SOME, NONE = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
BY_TOKEN = {case.token: case for case in CASES}


@pytest.fixture(scope="module")
def world(account: Account) -> World:
    ec2, iam, kms, eks = (account.client(name) for name in ("ec2", "iam", "kms", "eks"))
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("abc")
    ]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    tables = [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"] for _ in range(2)]
    for role in ("one", "two"):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)
    arn = "arn:aws:iam::123456789012:role"
    eks.create_cluster(name="standing", roleArn=f"{arn}/one", version="1.34", resourcesVpcConfig={"subnetIds": subnets})
    eks.create_access_entry(clusterName="standing", principalArn=f"{arn}/two")
    account.client("logs").create_log_group(logGroupName="/standing")
    queue = account.client("sqs").create_queue(QueueName="standing")["QueueUrl"]
    account.client("events").put_rule(Name="standing", EventPattern='{"source": ["aws.ec2"]}')
    account.client("s3").create_bucket(Bucket="standing-bucket")
    account.client("ecr").create_repository(repositoryName="standing")
    account.client("rds").create_db_subnet_group(
        DBSubnetGroupName="standing", DBSubnetGroupDescription="d", SubnetIds=subnets
    )
    template = ec2.create_launch_template(LaunchTemplateName="standing", LaunchTemplateData={"ImageId": "ami-1"})
    return World(
        vpc=vpc,
        subnets=subnets,
        gateway=gateway,
        table=tables[0],
        table2=tables[1],
        address=ec2.allocate_address(Domain="vpc")["AllocationId"],
        group=ec2.create_security_group(GroupName="standing", Description="d", VpcId=vpc)["GroupId"],
        role="one",
        role2="two",
        key=kms.create_key()["KeyMetadata"]["Arn"],
        key2=kms.create_key()["KeyMetadata"]["Arn"],
        log="/standing",
        queue=queue,
        queue_arn="arn:aws:sqs:us-east-1:123456789012:standing",
        rule="standing",
        cluster="standing",
        bucket="standing-bucket",
        repository="standing",
        subnet_group="standing",
        secret=account.client("secretsmanager").create_secret(Name="standing")["ARN"],
        template=template["LaunchTemplate"]["LaunchTemplateId"],
    )


def test_every_type_has_a_case() -> None:
    assert sorted(BY_TOKEN) == types.tokens()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.token.rpartition(":")[2])
def test_a_resource_lives_as_the_engine_expects(case: Case, provider: Provider, world: World) -> None:
    wanted = case.made(world)
    previewed = provider.create(case.token, wanted, preview=True)
    assert previewed.id == ""
    made = provider.create(case.token, wanted)
    assert made.id

    assert provider.diff(made, wanted).changes == NONE, "the same program would change it"
    seen = provider.read(made)
    assert seen is not None
    assert seen.inputs == made.inputs, "a refresh would show drift"
    assert provider.diff(seen, wanted).changes == NONE

    if case.replaced:
        answer = provider.diff(made, case.replaced(world))
        assert answer.changes == SOME
        assert answer.replaces
    if case.changed:
        changed = case.changed(world)
        answer = provider.diff(made, changed)
        assert answer.changes == SOME
        assert not answer.replaces
        made = provider.update(made, changed)
        assert provider.diff(made, changed).changes == NONE
        seen = provider.read(made)
        assert seen is not None
        assert seen.inputs == made.inputs, "a refresh after the update would show drift"

    provider.delete(made)
    provider.delete(made)  # as after an interruption, when the state did not yet hear of it
    if not case.token.endswith(("DefaultSecurityGroup", "SecretVersion", "BucketVersioning")):
        assert provider.read(made) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.token.rpartition(":")[2])
def test_an_unknown_property_is_an_error(case: Case, provider: Provider, world: World) -> None:
    assert "shape is not a property" in provider.faults(case.token, {**case.made(world), "shape": "round"})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.token.rpartition(":")[2])
def test_a_missing_property_is_an_error(case: Case, provider: Provider, world: World) -> None:
    for name, wanted in types.of(case.token).properties.items():
        if wanted.required:
            inputs = {key: value for key, value in case.made(world).items() if key != name}
            assert f"{name} is missing" in provider.faults(case.token, inputs)


def test_an_unknown_type_is_an_error(provider: Provider) -> None:
    with pytest.raises(Exception, match="aws:lex/bot:Bot is not among the types"):
        provider.check("aws:lex/bot:Bot", {})


ROLE = {"name": "made", "assumeRolePolicy": TRUST}


@pytest.mark.parametrize(
    ("token", "inputs", "words"),
    [
        ("aws:iam/role:Role", {**ROLE, "name": "x" * 65}, "65 characters, and AWS allows 64"),
        ("aws:iam/role:Role", {**ROLE, "assumeRolePolicy": "{"}, "no policy: it is not JSON"),
        ("aws:iam/role:Role", {**ROLE, "assumeRolePolicy": TRUST.replace("Allow", "Maybe")}, "Allow or Deny"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/8"}, "not between /16 and /28"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.1/16"}, "host bits set"),
        ("aws:s3/bucket:Bucket", {"bucket": "Capital"}, "does not match"),
        ("aws:cloudwatch/logGroup:LogGroup", {"name": "/x", "retentionInDays": 31}, "none of 1, 3, 5"),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": 7}, "must be of the kind text"),
    ],
)
def test_what_aws_would_refuse_is_refused(provider: Provider, token: str, inputs: dict[str, Any], words: str) -> None:
    assert words in provider.faults(token, inputs)


def test_a_placeholder_left_in_a_policy_is_refused(provider: Provider) -> None:
    statement = {
        "Effect": "Allow",
        "Action": "eks:DescribeCluster",
        "Resource": "arn:aws:eks:r:1:cluster/{cluster_name}",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    faults = provider.faults("aws:iam/rolePolicy:RolePolicy", {"name": "p", "role": "r", "policy": policy})
    assert "has a placeholder in it" in faults


def test_what_refers_to_nothing_is_refused(provider: Provider, world: World) -> None:
    association = BY_TOKEN["aws:eks/podIdentityAssociation:PodIdentityAssociation"].made(world)
    with pytest.raises(RefusedError, match="NoSuchEntity"):
        provider.create(
            "aws:eks/podIdentityAssociation:PodIdentityAssociation",
            {**association, "roleArn": "arn:aws:iam::123456789012:role/nobody"},
        )
    with pytest.raises(RefusedError, match=r"InvalidVpcID\.NotFound"):
        subnet = {"vpcId": "vpc-0", "cidrBlock": "10.1.7.0/24", "availabilityZone": "us-east-1a"}
        provider.create("aws:ec2/subnet:Subnet", subnet)


def test_a_subnet_that_overlaps_another_is_refused(provider: Provider, world: World) -> None:
    subnet = {"vpcId": world.vpc, "cidrBlock": "10.1.0.0/25", "availabilityZone": "us-east-1a"}
    with pytest.raises(RefusedError, match="conflicts with another subnet"):
        provider.create("aws:ec2/subnet:Subnet", subnet)


def test_what_is_in_use_cannot_be_deleted(provider: Provider, account: Account, world: World) -> None:
    group = provider.create("aws:ec2/securityGroup:SecurityGroup", {"name": "used", "vpcId": world.vpc})
    interface = account.client("ec2").create_network_interface(SubnetId=world.subnets[0], Groups=[group.id])
    with pytest.raises(RefusedError, match="in use by 1 network interfaces"):
        provider.delete(group)
    account.client("ec2").delete_network_interface(
        NetworkInterfaceId=interface["NetworkInterface"]["NetworkInterfaceId"]
    )
    provider.delete(group)
    assert provider.read(group) is None


def test_a_cluster_with_deletion_protection_stays(provider: Provider, world: World) -> None:
    case = BY_TOKEN["aws:eks/cluster:Cluster"]
    made = provider.create(case.token, {**case.made(world), "deletionProtection": True})
    with pytest.raises(RefusedError, match=r"deletion protection on: set manta:aws\.cluster.deletionProtection=false"):
        provider.delete(made)
    made = provider.update(made, {**case.made(world), "deletionProtection": False})
    provider.delete(made)


def test_a_failure_after_the_creation_keeps_what_exists(provider: Provider, account: Account) -> None:
    wanted = {"name": "half", "recoveryWindowInDays": 0}
    account.refuse("secretsmanager:DescribeSecret")
    try:
        with pytest.raises(RefusedError, match="refused by the test") as caught:
            provider.create("aws:secretsmanager/secret:Secret", wanted)
    finally:
        account.refuse("")
    kept = caught.value.kept
    assert kept is not None, "the engine would forget it, and make a second one"
    again = provider.update(kept, wanted)
    assert again.value["name"] == "half"
    provider.delete(again)


def test_drift_is_seen_and_put_right(provider: Provider, account: Account) -> None:
    wanted = {"name": "drifts", "messageRetentionSeconds": 300, "tags": {"a": "b"}}
    made = provider.create("aws:sqs/queue:Queue", wanted)
    sqs = account.client("sqs")
    sqs.set_queue_attributes(QueueUrl=made.id, Attributes={"MessageRetentionPeriod": "900"})
    sqs.untag_queue(QueueUrl=made.id, TagKeys=["a"])
    seen = provider.read(made)
    assert seen is not None
    assert set(provider.diff(seen, wanted).diffs) == {"messageRetentionSeconds", "tags", "tagsAll"}
    assert provider.update(seen, wanted).value["messageRetentionSeconds"] == 300
    provider.delete(made)


def test_an_import_brings_the_inputs(provider: Provider, account: Account) -> None:
    account.client("iam").create_role(RoleName="found", AssumeRolePolicyDocument=TRUST)
    imported = provider.import_("aws:iam/role:Role", "found").value
    assert imported["name"] == "found"
    assert json.loads(imported["assumeRolePolicy"]) == json.loads(TRUST)


def test_a_password_is_secret_in_the_state(provider: Provider, world: World) -> None:
    case = BY_TOKEN["aws:rds/instance:Instance"]
    made = provider.create(case.token, {**case.made(world), "identifier": "secretive"})
    plain = {key: value for key, value in made.state.fields.items() if not value.struct_value.fields}
    assert "not-a-secret-1" not in str(plain)
    assert made.state.fields["password"].struct_value.fields["4dabf18193072939515e22adb298388d"].string_value
    provider.delete(made)
