"""The simulated AWS, empty at the start of the session, with the least of a platform in it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from rich.console import Console

from local.progress import PlainReporter
from local.sim import account, flow, machine
from local.sim.machine import Machine
from local.sim.settings import SimSettings, load
from tests.sim import by_hand, manifests

DEPLOYMENTS = ("workers", "many", "plain", "idle")


@dataclass(frozen=True)
class Sim:
    settings: SimSettings
    machine: Machine

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """`command` in the environment that people get by `make env ENV=sim`."""
        environment = dict(self.machine.engine.environment)
        return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)

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

    def instances(self, *states: str) -> list[dict[str, Any]]:
        """Karpenter's, in EC2's words; by default those that run."""
        filters = [
            {"Name": "tag-key", "Values": ["karpenter.sh/nodepool"]},
            {"Name": "instance-state-name", "Values": list(states or ("running",))},
        ]
        pages = self.client("ec2").describe_instances(Filters=filters)["Reservations"]
        return [instance for page in pages for instance in page["Instances"]]

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Of a Deployment, those that run."""
        found = self.get("pods", "-l", f"app={name}")
        return [
            pod for pod in found if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def eventually(self, holds: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
        deadline = time.monotonic() + within_s
        while not (found := holds()):
            assert time.monotonic() < deadline, f"after {within_s:.0f} s still not: {what}\n{self.log()}"
            time.sleep(0.3)
        return found

    def log(self) -> str:
        """What Karpenter last complained of."""
        lines = self.run("kubectl", "logs", "-n", "kube-system", "deploy/karpenter", "--tail=300").stdout.splitlines()
        return "\n".join(line[:600] for line in lines if '"level":"ERROR"' in line)[-3000:]


@pytest.fixture(scope="session")
def sim() -> Iterator[Sim]:
    settings, reporter = load(), PlainReporter(Console())
    flow.down(settings, reporter)
    ready = machine.ensure(settings, reporter)
    by_hand.bring_up(settings, ready)
    found = Sim(settings, ready)
    found.kubectl("rollout", "status", "-n", "kube-system", "deploy/karpenter", "--timeout=120s")
    for manifest in (manifests.node_class(), manifests.pool("spot", 50), manifests.pool("on-demand", 10)):
        found.apply(manifest)
    found.kubectl("wait", "--for=condition=Ready", "ec2nodeclass/gpu", "--timeout=60s")
    yield found
    flow.down(settings, reporter)


@pytest.fixture
def empty(sim: Sim) -> Iterator[Sim]:
    """No machine of Karpenter's, before and after; and capacity for everything."""
    sim.control("/sim/capacity", shortages=[])
    yield sim
    sim.kubectl("delete", "deployment", *DEPLOYMENTS, "--ignore-not-found", "--wait=false")
    sim.kubectl("delete", "nodeclaims", "--all", "--wait=false")
    sim.eventually(lambda: not sim.get("nodeclaims") and not sim.instances(), "every machine is gone")
