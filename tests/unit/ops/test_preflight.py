"""Preflight against moto, a simulated AWS that answers over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.preflight import aws, stackfile
from ops.preflight.outcome import Outcome

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/manta/ray@sha256:" + "0" * 64
AWS: dict[str, Any] = {
    "region": "us-east-1", "account": "123456789012",
    "network": {"zones": ["us-east-1a", "us-east-1b"], "natGateways": "per_zone"},
    "capacity": {"gpu": {"families": ["g5", "g6"], "sizes": ["xlarge", "12xlarge"], "limit": 8}},
}  # fmt: skip


def write(folder: Path, stack: str = "platform-prod", **changes: Any) -> Path:
    config = {
        "manta:aws": {**AWS, **changes}, "manta:images": {"recorded": False, "ray": IMAGE},
        "manta:kuberay": {"source": "manifests"},
    }  # fmt: skip
    (folder / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))
    return folder


def asked(folder: Path) -> dict[str, list[Outcome]]:
    wanted = stackfile.read(folder, "platform-prod")
    found: dict[str, list[Outcome]] = {}
    for outcome in aws.check(wanted, aws.Account(wanted.region)):
        found.setdefault(outcome.check, []).append(outcome)
    return found


def test_what_a_stack_asks_for_is_read_from_its_file(tmp_path: Path) -> None:
    wanted = stackfile.read(write(tmp_path), "platform-prod")
    assert wanted.gpu_types == ("g5.xlarge", "g5.12xlarge", "g6.xlarge", "g6.12xlarge")
    assert (wanted.gpu_limit, wanted.nat_gateways, wanted.images) == (8, 2, (IMAGE,))


def test_a_stack_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MantaError, match="there is no"):
        stackfile.read(tmp_path, "platform-prod")


def test_an_account_that_can_take_the_platform_is_well(moto: None, tmp_path: Path) -> None:
    found = asked(write(tmp_path))
    assert found["credentials"] == [Outcome("credentials", "ok", "account 123456789012")]
    assert [each.status for each in found["zones"]] == ["ok", "ok"]
    assert found["VPCs"][0].says == "1 of 5 VPCs in use"


def test_credentials_of_another_account_end_the_questions(moto: None, tmp_path: Path) -> None:
    found = asked(write(tmp_path, account="999999999999"))
    assert list(found) == ["credentials"]
    assert "belongs to 999999999999" in found["credentials"][0].says


def test_an_image_that_is_not_there_fails(moto: None, tmp_path: Path) -> None:
    (outcome,) = asked(write(tmp_path))["images"]
    assert outcome.status == "failed"
    assert "ImagePullBackOff" in outcome.says


def test_a_zone_that_offers_no_gpu_is_said(moto: None, tmp_path: Path) -> None:
    found = asked(write(tmp_path, network={"zones": ["us-east-1a", "us-east-1z"]}))["zones"]
    assert [each.status for each in found] == ["ok", "warning"]
    nowhere = asked(write(tmp_path, network={"zones": ["us-east-1z"]}))["zones"]
    assert nowhere[-1].status == "failed"


def test_what_aws_does_not_answer_is_unknown_and_never_well(moto: None, tmp_path: Path) -> None:
    """moto knows no quotas of EC2 and no placement scores."""
    found = asked(write(tmp_path))
    assert {each.status for each in found["GPU quota"] + found["spot placement"]} == {"unknown"}


class Prepared(aws.Account):
    """An account whose quotas are known."""

    def __init__(self, vcpus: float) -> None:
        super().__init__("us-east-1")
        self._vcpus = vcpus

    def quota(self, service: str, code: str) -> float | None:  # noqa: ARG002
        return self._vcpus if service == "ec2" else 5


@pytest.mark.parametrize(("vcpus", "status"), [(0, "failed"), (64, "warning"), (1000, "ok")])
def test_a_quota_below_the_pools_limit_is_said_with_what_will_happen(
    moto: None, tmp_path: Path, vcpus: float, status: str
) -> None:
    wanted = stackfile.read(write(tmp_path), "platform-prod")
    found = [each for each in aws.check(wanted, Prepared(vcpus)) if each.check == "GPU quota"]
    assert {each.status for each in found} == {status}
    # 8 GPUs in g5.12xlarge, 4 GPUs and 48 vCPUs each, need 96; in xlarge, 1 GPU and 4 vCPUs, 32.
    assert ("may need 96" in found[0].says) == (status != "ok")


def test_no_credentials_is_one_sentence(moto: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (outcome,) = asked(write(tmp_path))["credentials"]
    assert (outcome.status, outcome.says) == (
        "failed",
        "no AWS credentials: set AWS_PROFILE, or log in with `aws sso login`",
    )


def test_the_command_fails_where_something_would(moto: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MANTA_CHARTS", str(tmp_path))
    result = CliRunner().invoke(app, ["preflight", "platform-prod", "--stacks", str(write(tmp_path)), "--json"])
    assert result.exit_code == 1
    statuses = {each["check"]: each["status"] for each in json.loads(result.stdout)}
    assert {name for name, status in statuses.items() if status == "failed"} >= {"pulumi", "aws", "images", "charts"}
