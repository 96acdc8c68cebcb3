"""The AWS half of the platform through the real engine, on an account of its own: up, nothing to do, no drift, down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.aws.conftest import CHECKOUT, Account

# Everything that has a setting, so that every type of the program is made.
EVERYTHING = {"natGateways": "per_zone", "podCidr": "100.64.0.0/16", "endpoints": ["sts", "ecr.api"], "flowLogs": True}


@dataclass(frozen=True)
class Stack:
    folder: Path
    pulumi: Path
    environment: dict[str, str]

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [str(self.pulumi), "--non-interactive", "--color", "never", *arguments, "--stack", "test"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert not check or result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
        return result


@pytest.fixture(scope="module")
def stack(account: Account, pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("program")
    values: dict[str, Any] = yaml.safe_load((CHECKOUT / "stacks" / "Pulumi.platform-sim.yaml").read_text())["config"]
    settings = values["manta:aws"]
    settings["network"] |= EVERYTHING
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    (folder / "__main__.py").write_text((CHECKOUT / "tests" / "aws" / "program.py").read_text())
    options = f"  options:\n    virtualenv: {CHECKOUT / '.venv'}\n"
    (folder / "Pulumi.yaml").write_text(f"name: awstest\nruntime:\n  name: python\n{options}")
    for name in ("backend", "home"):
        (folder / name).mkdir()
    environment = account.environment()
    environment |= {
        "PATH": f"{CHECKOUT / 'local' / 'engine' / 'bin'}:{environment['PATH']}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'backend'}",
        "PULUMI_CONFIG_PASSPHRASE": "a passphrase of these tests",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "MANTA_TEST_CHECKOUT": str(CHECKOUT),
        "MANTA_TEST_SETTINGS": str(folder / "settings.yaml"),
    }
    found = Stack(folder, pulumi, environment)
    found.run("stack", "init")
    yield found
    found.run("destroy", "--yes", "--skip-preview")


def left(account: Account) -> list[str]:
    """What the audit finds in the account, and what the stand-in keeps there."""
    environment = {**account.environment(), "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-m", "ops", "audit", "sim", "--json"],
        cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["unseen"] == []
    kept = account.client("ssm").describe_parameters(
        ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": ["/manta-stand-in"]}]
    )["Parameters"]
    seen = [f"{item['service']} {item['kind']} {item['id']}" for item in found["left"]]
    return [*seen, *(parameter["Name"] for parameter in kept)]


def test_the_half_goes_up_stays_and_goes_down_whole(stack: Stack, account: Account) -> None:
    stack.run("up", "--yes", "--skip-preview")
    assert left(account), "nothing was made"
    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")
    stack.run("refresh", "--preview-only", "--expect-no-changes")
    stack.run("destroy", "--yes", "--skip-preview")
    assert left(account) == []


def test_an_error_of_every_call_in_turn_is_made_good_by_the_next_run_up_and_down(
    stack: Stack, account: Account
) -> None:
    for verb, least in (("up", 40), ("destroy", 25)):
        account.refuse_each_once(True)
        for _ in range(60):
            done = stack.run(verb, "--yes", "--skip-preview", check=False)
            if done.returncode == 0:
                break
            assert "refused by the test" in done.stdout, done.stdout + done.stderr
        refused = account.refuse_each_once(False)
        assert done.returncode == 0, f"{verb} still fails: {done.stdout}"
        assert len(refused) > least, refused
        if verb == "up":
            stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")
            stack.run("refresh", "--preview-only", "--expect-no-changes")
    assert left(account) == []


def test_another_account_is_refused_before_anything_is_made(stack: Stack, account: Account) -> None:
    settings = yaml.safe_load((stack.folder / "settings.yaml").read_text())
    other = stack.folder / "other.yaml"
    other.write_text(yaml.safe_dump({**settings, "account": "999999999999"}))
    there = Stack(stack.folder, stack.pulumi, {**stack.environment, "MANTA_TEST_SETTINGS": str(other)})
    result = there.run("up", "--yes", "--skip-preview", check=False)
    assert result.returncode != 0
    assert "the credentials belong to account 123456789012, and this stack lives in 999999999999" in (
        result.stdout + result.stderr
    )
    assert left(account) == []
