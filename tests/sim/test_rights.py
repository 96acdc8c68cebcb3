"""Who may do what: Karpenter's role, roles of pods, and people."""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.kubernetes.tenancy import RAY_ACCOUNT
from local.sim.cloud.config import ACCOUNT
from local.sim.cloud.identity import AUDIENCE
from tests.sim.conftest import Sim
from tests.sim.manifests import NAME, PLACE

DATA, ARTIFACTS, CHECKPOINTS = (PLACE.bucket(None, purpose) for purpose in ("data", "artifacts", "checkpoints"))
BUCKETS = {DATA: ["shared/x"], ARTIFACTS: ["ray/x"], CHECKPOINTS: ["ray/x", "other/x"]}
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


def test_the_role_of_ray_pods_reaches_its_own_prefix_and_no_other(sim: Sim) -> None:
    theirs = sim.client("s3", **_credentials(sim, _token(sim)))
    for bucket, keys in BUCKETS.items():
        for key in keys:
            sim.client("s3").put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert theirs.get_object(Bucket=CHECKPOINTS, Key="ray/x")["Body"].read() == b"ray/x"
    theirs.put_object(Bucket=CHECKPOINTS, Key="ray/y", Body=b"y")
    found = theirs.list_objects_v2(Bucket=CHECKPOINTS, Prefix="ray/")["Contents"]
    assert {"ray/x", "ray/y"} <= {item["Key"] for item in found}
    theirs.delete_object(Bucket=CHECKPOINTS, Key="ray/y")
    assert theirs.get_object(Bucket=DATA, Key="shared/x")["Body"].read() == b"shared/x"
    for refused in (
        lambda: theirs.get_object(Bucket=CHECKPOINTS, Key="other/x"),
        lambda: theirs.put_object(Bucket=CHECKPOINTS, Key="other/y", Body=b"y"),
        lambda: theirs.delete_object(Bucket=CHECKPOINTS, Key="other/x"),
        lambda: theirs.list_objects_v2(Bucket=CHECKPOINTS, Prefix="other/"),
        lambda: theirs.put_object(Bucket=DATA, Key="shared/y", Body=b"y"),
        lambda: theirs.get_object(Bucket=ARTIFACTS, Key="ray/x"),
        lambda: theirs.list_objects_v2(Bucket=ARTIFACTS),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_boto3_and_pyarrow_find_the_credentials_of_pod_identity_by_themselves(sim: Sim, tmp_path: Path) -> None:
    sim.client("s3").put_object(Bucket=CHECKPOINTS, Key="ray/z", Body=b"found")
    token = tmp_path / "token"
    token.write_text(_token(sim))
    told = {
        # What EKS writes into pods; their address of the agent is 169.254.170.23.
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{sim.settings.endpoint}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "AWS_REGION": PLACE.region,
        "AWS_ENDPOINT_URL": sim.settings.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    for program in (
        f"import boto3; print(boto3.client('s3').get_object(Bucket='{CHECKPOINTS}', Key='ray/z')['Body'].read())",
        "from pyarrow.fs import S3FileSystem as S3; import os;"
        "s3 = S3(endpoint_override=os.environ['AWS_ENDPOINT_URL'], region='us-east-1');"
        f"print(s3.open_input_stream('{CHECKPOINTS}/ray/z').read())",
    ):
        alone = {**kept, **told, "HOME": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", program], env=alone, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "b'found'", done.stderr


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


def _token(sim: Sim) -> str:
    """As the kubelet puts it into Ray's pods."""
    made = ("create", "token", RAY_ACCOUNT, "--namespace=ray", f"--audience={AUDIENCE}")
    return sim.kubectl(*made).strip()


def _credentials(sim: Sim, token: str) -> dict[str, str]:
    request = urllib.request.Request(f"{sim.settings.endpoint}/v1/credentials", headers={"Authorization": token})
    with urllib.request.urlopen(request, timeout=10) as response:
        found = json.load(response)
    return {
        "aws_access_key_id": found["AccessKeyId"],
        "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["Token"],
    }
