"""Failures made for real, and what `ops diagnose` says of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.cluster import Cluster
from ops.diagnose.diagnosis import diagnose
from ops.diagnose.evidence import Evidence
from ops.diagnose.gather import gather
from tests.cluster.ops.conftest import Kubectl
from tests.unit.ops import failures, recordings

# Evictions for disk space come with the kubelet's next look, every ten seconds or so.
_PATIENCE_S = 120


@pytest.fixture(scope="module")
def failing(kubectl: Kubectl, ray_image: str) -> Iterator[None]:
    items = failures.manifests(ray_image)
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    yield
    kubectl("delete", "namespace", failures.NAMESPACE, failures.STRICT, "--wait=false")


def causes(evidence: Evidence) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in diagnose(evidence):
        for thing in finding.things:
            found.setdefault(thing, set()).add(finding.cause)
    return found


def test_each_failure_is_called_by_its_name(kubeconfig: Path, failing: None) -> None:
    """At one moment or another: what is restarted all the time is well in between, and has no log."""
    cluster, deadline = Cluster(str(kubeconfig)), time.monotonic() + _PATIENCE_S
    seen: dict[str, set[str]] = {}
    while missing := {name: cause for name, cause in failures.EXPECTED.items() if cause not in seen.get(name, ())}:
        assert time.monotonic() < deadline, (missing, seen)
        evidence = gather(cluster, (failures.NAMESPACE, failures.STRICT))
        for name, found in causes(evidence).items():
            seen.setdefault(name, set()).update(found)
        if os.environ.get("RECORD_FAILURES"):
            recordings.save("pods", evidence)
        time.sleep(1)
    assert f"pod {failures.NAMESPACE}/affinity" not in seen


def test_the_command_answers_within_seconds_and_with_its_status(kubeconfig: Path, failing: None) -> None:
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "ops", "diagnose", "gpu", "-n", failures.NAMESPACE], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert time.monotonic() - started < 10
    assert result.returncode == 1, result.stderr
    assert f"1. pod {failures.NAMESPACE}/gpu  [no-gpu]" in result.stdout
    assert "2. " not in result.stdout
