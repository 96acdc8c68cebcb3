"""`ops deploy` with the real engine: what was planned and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.graph.engine import PROJECT, Engine

PROGRAM = """
import os
import pulumi

class Part(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("test:parts:Part", name)

for name in os.environ["PARTS"].split():
    Part(name)
"""


@pytest.fixture(scope="module")
def folder(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "project").mkdir()
    (folder / "project" / "__main__.py").write_text(PROGRAM)
    options = f"runtime:\n  name: python\n  options:\n    virtualenv: {PROJECT / '.venv'}\n"
    (folder / "project" / "Pulumi.yaml").write_text(f"name: project\n{options}")
    assert call(folder, pulumi, "a", pulumi, "stack", "init", "dev").returncode == 0
    return folder


def call(folder: Path, pulumi: Path, parts: str, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = Engine(pulumi, folder).environment()
    path = f"{pulumi.parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        command, cwd=folder / "project", env={**environment, "PATH": path, "PARTS": parts, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def ops(folder: Path, pulumi: Path, parts: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call(folder, pulumi, parts, sys.executable, "-m", "ops", *arguments)


def test_what_was_planned_is_done_and_what_was_not_is_refused(folder: Path, pulumi: Path) -> None:
    planned = ops(
        folder, pulumi, "a", "preview", "dev", "--out", "plans", "--plan", "--policies", str(PROJECT / "policies")
    )
    assert planned.returncode == 0, planned.stderr
    done = ops(folder, pulumi, "a", "deploy", "dev", "--plan", "plans/dev.plan")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = ops(folder, pulumi, "a b", "deploy", "dev", "--plan", "plans/dev.plan")
    assert refused.returncode == 1
    assert "stack dev is not as it was when the plan was made" in refused.stderr


def test_a_lock_that_was_left_behind_is_explained(folder: Path, pulumi: Path) -> None:
    lock = folder / "backend" / ".pulumi" / "locks" / "organization" / "project" / "dev" / "other.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text('{"pid": 1, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}')
    try:
        refused = ops(folder, pulumi, "a", "deploy", "dev")
    finally:
        lock.unlink()
    assert refused.returncode == 1
    assert "stack dev is locked by an update that runs or was killed" in refused.stderr
    assert "pulumi cancel -s dev" in refused.stderr


def test_a_plan_that_is_not_there_is_said_before_anything_runs(folder: Path, pulumi: Path) -> None:
    missing = ops(folder, pulumi, "a", "deploy", "dev", "--plan", "nowhere.plan")
    assert missing.returncode == 3
    assert "nowhere.plan does not exist" in missing.stderr


def test_a_plan_that_is_damaged_is_said(folder: Path, pulumi: Path) -> None:
    (folder / "project" / "broken.plan").write_text("{")
    broken = ops(folder, pulumi, "a", "deploy", "dev", "--plan", "broken.plan")
    assert broken.returncode == 3
    assert "broken.plan is no plan of Pulumi" in broken.stderr
