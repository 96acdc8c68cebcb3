"""Who may do what: Karpenter's role, roles of pods, and people."""

from __future__ import annotations

import fnmatch
import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from infra.aws.policies import allow, document, pod_trust
from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.identity import AUDIENCE
from tests.sim.conftest import Sim
from tests.sim.manifests import NAME, PLACE

KARPENTER = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-karpenter"
# Granted for what these tests do not do: reservations, placement groups and AMIs by alias.
RARE = {"ec2:DescribeCapacityReservations", "ec2:DescribePlacementGroups", "ssm:GetParameter", "iam:GetInstanceProfile"}


def test_karpenters_role_suffices_and_what_it_never_uses_is_known(sim: Sim) -> None:
    calls = [call for call in sim.control("/sim/calls")["calls"] if call["principal"] == KARPENTER]
    assert calls, "Karpenter has called nothing: run the tests of machines before these"
    assert [call for call in calls if not call["allowed"]] == []
    policy = sim.client("iam").get_role_policy(RoleName=f"{NAME}-karpenter", PolicyName="karpenter")["PolicyDocument"]
    granted = {action for statement in policy["Statement"] for action in statement["Action"]}
    used = {call["action"] for call in calls}
    unused = {action for action in granted if not any(fnmatch.fnmatch(name, action) for name in used)}
    assert unused - RARE - {"ec2:DeleteLaunchTemplate"} == set()


def test_a_pods_role_reaches_its_own_prefix_and_no_other(sim: Sim) -> None:
    iam, s3 = sim.client("iam"), sim.client("s3")
    bucket = f"{NAME}-data"
    s3.create_bucket(Bucket=bucket)
    for team in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=f"{team}/x", Body=team.encode())
    trust = pod_trust(ACCOUNT, PLACE.cluster_arn, "default", "team-a")
    role = iam.create_role(RoleName=f"{NAME}-team-a", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    prefix = {"StringLike": {"s3:prefix": ["a/*"]}}
    policy = document(
        allow("Objects", ["s3:GetObject", "s3:PutObject"], [f"arn:aws:s3:::{bucket}/a/*"]),
        allow("List", ["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], prefix),
    )
    iam.put_role_policy(RoleName=f"{NAME}-team-a", PolicyName="data", PolicyDocument=policy)
    eks = sim.client("eks")
    eks.create_pod_identity_association(clusterName=NAME, namespace="default", serviceAccount="team-a", roleArn=role)
    sim.kubectl("create", "serviceaccount", "team-a")

    keys = _credentials(sim, sim.kubectl("create", "token", "team-a", f"--audience={AUDIENCE}").strip())
    theirs = sim.client("s3", **keys)
    assert theirs.get_object(Bucket=bucket, Key="a/x")["Body"].read() == b"a"
    theirs.put_object(Bucket=bucket, Key="a/y", Body=b"y")
    assert [item["Key"] for item in theirs.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/x", "a/y"]
    for refused in (
        lambda: theirs.get_object(Bucket=bucket, Key="b/x"),
        lambda: theirs.put_object(Bucket=bucket, Key="b/y", Body=b"y"),
        lambda: theirs.list_objects_v2(Bucket=bucket, Prefix="b/"),
        lambda: theirs.list_objects_v2(Bucket=bucket),
        lambda: theirs.delete_object(Bucket=bucket, Key="a/x"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_a_token_for_another_audience_or_an_account_without_association_gets_no_credentials(sim: Sim) -> None:
    for arguments in (("default", f"--audience={AUDIENCE}"), ("default",)):
        token = sim.kubectl("create", "token", *arguments).strip()
        with pytest.raises(urllib.error.HTTPError) as refused:
            _credentials(sim, token)
        assert refused.value.code == 403


def test_a_person_without_an_access_entry_is_nobody_to_the_cluster(sim: Sim) -> None:
    iam = sim.client("iam")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    environment = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert _can_list_nodes(sim, {}), "the deployer has an entry and the admin policy"
    assert not _can_list_nodes(sim, environment)


def _can_list_nodes(sim: Sim, variables: dict[str, str]) -> bool:
    """With `aws eks get-token` alone, as the kubeconfig of a stack does."""
    assignments = [f"{name}={value}" for name, value in variables.items()]
    made = sim.run("env", *assignments, "aws", "eks", "get-token", "--cluster-name", NAME, "--output", "json")
    token = json.loads(made.stdout)["status"]["token"]
    server = f"https://127.0.0.1:{sim.settings.cluster.ports.api}"
    authority = str(sim.settings.cluster.state_dir / "pki" / "cluster-ca.crt")
    plain = ("--kubeconfig=/dev/null", f"--server={server}", f"--certificate-authority={authority}", f"--token={token}")
    return sim.run("kubectl", *plain, "get", "nodes").returncode == 0


def _credentials(sim: Sim, token: str) -> dict[str, str]:
    request = urllib.request.Request(f"{sim.settings.endpoint}/v1/credentials", headers={"Authorization": token})
    with urllib.request.urlopen(request, timeout=10) as response:
        found = json.load(response)
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["Token"],
    }
