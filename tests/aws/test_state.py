"""The bucket and the key of the stacks' state, made in a simulated account and used by the real engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from tests.aws.conftest import CHECKOUT, REGION, Account

STACKS = CHECKOUT / "stacks"
MINE = "123456789012"
BUCKET = f"manta-{MINE}-{REGION}-state"


def state(account: Account, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", "state", *arguments],
        cwd=CHECKOUT, env=account.environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def steps(done: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    """What was looked at -> whether something had to be done."""
    assert done.returncode == 0, done.stderr
    lines = done.stdout.partition("\nNext:")[0].splitlines()
    return {line[6:]: line.startswith("done") for line in lines}


def test_it_is_made_once_and_what_was_changed_by_hand_is_put_right(account: Account) -> None:
    first = steps(state(account, "sim"))
    assert all(first.values()), first
    assert not any(steps(state(account, "sim")).values())

    s3, kms = account.client("s3"), account.client("kms")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_policy(Bucket=BUCKET)
    mended = steps(state(account, "sim"))
    assert [what for what, done in mended.items() if done] == ["versions are kept", "TLS alone"]

    key = kms.describe_key(KeyId="alias/manta-state")["KeyMetadata"]["Arn"]
    rule = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"][0]["Effect"] == "Deny"
    assert len(kms.list_aliases(KeyId=key)["Aliases"]) == 1, "a second key was made"


def test_the_engine_keeps_a_stack_and_its_secrets_there(account: Account, pulumi: Path, tmp_path: Path) -> None:
    done = state(account, "sim")
    login, init = (line.strip() for line in done.stdout.partition("Next:\n")[2].splitlines())
    backend, provider = login.split("'")[1], init.split("'")[1]
    (tmp_path / "home").mkdir()
    (tmp_path / "Pulumi.yaml").write_text("name: manta\nruntime: python\n")
    environment = account.environment() | {
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # An address of this machine has no names below it.
        "PULUMI_BACKEND_URL": f"{backend}&s3ForcePathStyle=true&endpoint={account.url}",
    }

    def run(*arguments: str) -> str:
        command = [str(pulumi), "--non-interactive", *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    run("stack", "init", "platform-sim", "--secrets-provider", provider)
    run("config", "set", "--secret", "password", "not-to-be-seen", "--stack", "platform-sim")
    assert run("config", "get", "password", "--stack", "platform-sim").strip() == "not-to-be-seen"
    written = (tmp_path / "Pulumi.platform-sim.yaml").read_text()
    assert "not-to-be-seen" not in written
    assert "encryptedkey" in yaml.safe_load(written)
    kept = account.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert ".pulumi/stacks/manta/platform-sim.json" in {item["Key"] for item in kept}


def test_credentials_of_another_account_and_an_environment_without_one_are_refused(account: Account) -> None:
    other = state(account, "dev")
    assert other.returncode == 3
    assert "the credentials belong to account 123456789012, and manta:aws.account says 111122223333" in other.stderr
    local = state(account, "local")
    assert local.returncode == 3
    assert "platform-local is not on AWS" in local.stderr
    assert state(account, "nowhere").returncode == 3
