"""The simulated AWS, empty at the start of the session, with all stacks of the environment up in it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from local.engine.stacks import ensure_stack
from local.progress import PlainReporter
from local.sim import account, flow
from local.sim.settings import SimSettings, load
from local.sim.tools import AwsTools
from local.sim.tools import built as tools_built
from local.toolchain import golang

DEPLOYMENTS = ("workers", "many", "plain", "idle")
PULUMI_TIMEOUT_S = 600.0
# With nothing to wait for these are seconds; a machine that does other things beside the tests is granted more.
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Sim:
    settings: SimSettings
    environment: dict[str, str]
    tools: AwsTools
    summary: flow.Summary

    def run(
        self, *command: str, text: str | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`command` in the environment that people get by `make env ENV=sim`."""
        return subprocess.run(
            command,
            cwd=flow.CHECKOUT,
            env=environment or self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=PULUMI_TIMEOUT_S,
        )

    def pulumi(self, verb: str, stack: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = ("pulumi", "--non-interactive", "--color", "never", verb, *options, "--stack", stack)
        return self.run(*command, environment=self.of_stack(stack))

    def of_stack(self, stack: str) -> dict[str, str]:
        """With a private copy of the stack's file, so that the engine writes nothing into the checkout."""
        return ensure_stack(Path("pulumi"), self.environment, flow.CHECKOUT, stack)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        done = self.run("kubectl", *arguments, text=text)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found.get("items", [found])

    def apply(self, manifest: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", text=json.dumps(manifest))

    def control(self, path: str, **body: Any) -> Any:
        return account.control(self.settings, path, body)

    def client(self, service: str, **credentials: str) -> Any:
        keys = json.loads((self.settings.aws_dir / "keys.json").read_text())
        mine = {"aws_access_key_id": keys["access_key"], "aws_secret_access_key": keys["secret_key"]}
        session: Any = boto3.Session(region_name="us-east-1")
        return session.client(service, endpoint_url=self.settings.endpoint, **(credentials or mine))

    def instances(self, *states: str, pools: str = "gpu-*") -> list[dict[str, Any]]:
        """Karpenter's, in EC2's words; by default those with GPUs that run."""
        filters = [
            {"Name": "tag:karpenter.sh/nodepool", "Values": [pools]},
            {"Name": "instance-state-name", "Values": list(states or ("running",))},
        ]
        pages = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for page in pages for instance in page["Instances"]]

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Of a Deployment, those that run."""
        return [pod for pod in self.get("pods", "-l", f"app={name}") if runs(pod)]

    def eventually(self, holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := holds()):
            assert time.monotonic() < deadline, f"after {within_s:.0f} s still not: {what}\n{self.log()}"
            time.sleep(0.3)
        return found

    def diagnosed(self, about: str, namespace: str = "ray") -> dict[str, dict[str, Any]]:
        """What `ops diagnose` finds, by the names of the causes."""
        done = self.run(sys.executable, "-m", "ops", "diagnose", about, "--namespace", namespace, "--json")
        assert done.returncode in (0, 1), done.stderr
        return {finding["cause"]: finding for finding in json.loads(done.stdout)["findings"]}

    def log(self) -> str:
        """What Karpenter last complained of."""
        lines = self.run("kubectl", "logs", "-n", "kube-system", "deploy/karpenter", "--tail=300").stdout.splitlines()
        return "\n".join(line[:600] for line in lines if '"level":"ERROR"' in line)[-3000:]


def runs(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]


@pytest.fixture(scope="session")
def sim() -> Iterator[Sim]:
    settings, reporter = load(), PlainReporter(Console())
    flow.down(settings, reporter)
    summary = flow.up(settings, reporter)
    go = golang.find()
    assert go is not None
    yield Sim(settings, flow.variables(settings), tools_built(settings.cluster, go), summary)
    flow.down(settings, reporter)


@pytest.fixture(scope="session")
def platform(sim: Sim) -> Sim:
    """The platform alone: what stands on it is destroyed, each by one command, at once and at work."""
    stacks = ("workbench-sim", "serve-sim", "train-sim")
    with ThreadPoolExecutor(len(stacks)) as pool:
        for done in pool.map(lambda stack: sim.pulumi("destroy", stack, "--yes", "--skip-preview"), stacks):
            assert done.returncode == 0, done.stdout + done.stderr
    return sim


@pytest.fixture
def empty(platform: Sim) -> Iterator[Sim]:
    """No machine with GPUs, before and after; and capacity for everything."""
    platform.control("/sim/capacity", shortages=[])
    _no_machines(platform)
    yield platform
    platform.kubectl("delete", "deployment", *DEPLOYMENTS, "--ignore-not-found", "--wait=false")
    _no_machines(platform)


def _no_machines(sim: Sim) -> None:
    if not sim.run("kubectl", "get", "crd", "nodeclaims.karpenter.sh").stdout:
        return  # the platform is destroyed
    sim.kubectl("delete", "nodeclaims", "-l", "manta/nodes=gpu", "--wait=false")
    sim.eventually(
        lambda: not sim.get("nodeclaims", "-l", "manta/nodes=gpu") and not sim.instances(), "every machine is gone"
    )
