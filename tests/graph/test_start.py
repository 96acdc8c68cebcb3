"""`ops runs start` and `ops kubeconfig` with the real engine, on a program that takes a run's place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.graph.engine import PROJECT, Engine

PROGRAM = """
import pulumi

given = pulumi.Config("manta").require_object("parameters")
if given["epochs"] == 0:
    raise pulumi.RunError("epochs is 0")
pulumi.export("run", "digits-1")
pulumi.export("result", {"accuracy": 0.97, "reason": f"lr {given.get('lr')}"})
pulumi.export("kubeconfig", "apiVersion: v1")
"""


@pytest.fixture(scope="module")
def project(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "project"
    (folder / "stacks").mkdir(parents=True)
    (folder / "__main__.py").write_text(PROGRAM)
    options = f"runtime:\n  name: python\n  options:\n    virtualenv: {PROJECT / '.venv'}\n"
    (folder / "Pulumi.yaml").write_text(f"name: project\nstackConfigDir: stacks\n{options}")
    for stack in ("train-dev", "platform-dev"):
        config = {"config": {"manta:parameters": {"epochs": 3}}}
        (folder / "stacks" / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(config))
    return folder


def ops(project: Path, pulumi: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = Engine(pulumi, project.parent).environment()
    path = f"{pulumi.parent}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments], cwd=project, capture_output=True, text=True, check=False,
        env={**environment, "PATH": path, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip


def test_a_run_is_started_once_and_its_result_is_shown(project: Path, pulumi: Path) -> None:
    command = ["runs", "start", "dev", "lr3", "--arguments", "lr=0.003", "--out", "summary.md"]
    started = ops(project, pulumi, *command)
    assert started.returncode == 0, started.stdout + started.stderr
    summary = (project / "summary.md").read_text()
    assert "### Run `digits-1`" in summary
    assert '| `reason` | `"lr 0.003"` |' in summary
    assert "lr: 0.003" in summary  # the stack file, to keep
    again = ops(project, pulumi, *command)
    assert again.returncode == 0, again.stdout + again.stderr


def test_a_run_that_was_over_long_ago_goes_with_its_stack_and_its_file_stays(project: Path, pulumi: Path) -> None:
    def engine(*arguments: str, given: str | None = None) -> str:
        return subprocess.run(
            [str(pulumi), "--non-interactive", "stack", *arguments], cwd=project, input=given, text=True, check=True,
            capture_output=True, env=Engine(pulumi, project.parent).environment(),
        ).stdout  # fmt: skip

    assert "no stack of a run is older" in ops(project, pulumi, "runs", "clean", "--by-update").stdout
    state = json.loads(engine("export", "--stack", "train-dev-lr3"))
    state["deployment"]["manifest"]["time"] = "2026-01-01T00:00:00Z"
    engine("import", "--stack", "train-dev-lr3", given=json.dumps(state))
    named = ops(project, pulumi, "runs", "clean", "--by-update")
    assert (named.returncode, named.stdout.startswith("would remove train-dev-lr3: ")) == (1, True), named
    removed = ops(project, pulumi, "runs", "clean", "--by-update", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert "train-dev-lr3" not in engine("ls")
    assert (project / "stacks" / "Pulumi.train-dev-lr3.yaml").exists()


def test_a_run_that_fails_says_so_and_keeps_its_stack_file(project: Path, pulumi: Path) -> None:
    failed = ops(project, pulumi, "runs", "start", "dev", "zero", "--arguments", "epochs=0", "--out", "summary.md")
    assert failed.returncode == 1
    assert "epochs is 0" in failed.stdout
    assert "**It failed.**" in (project / "summary.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere", "x"], "nowhere is no environment"), (["dev", "No Name"], "cannot name a run"),
     (["dev", "x", "--arguments", "lr"], "write parameters as name=value")],
)  # fmt: skip
def test_what_cannot_be_started_is_refused_before_anything_is_made(
    project: Path, pulumi: Path, arguments: list[str], words: str
) -> None:
    refused = ops(project, pulumi, "runs", "start", *arguments)
    assert refused.returncode == 3
    assert words in refused.stderr
    assert not (project / "stacks" / "Pulumi.train-dev-x.yaml").exists()


def test_the_way_into_a_cluster_is_what_its_platform_exports(project: Path, pulumi: Path) -> None:
    missing = ops(project, pulumi, "kubeconfig", "train-dev", "--out", "kubeconfig")
    assert missing.returncode == 3
    assert ops(project, pulumi, "kubeconfig", "platform-dev", "--out", "kubeconfig").returncode == 0
    assert not (project / "kubeconfig").exists()
    engine = Engine(pulumi, project.parent)
    engine.init("unused")  # makes the scratch project's folder
    subprocess.run(
        [str(pulumi), "--non-interactive", "stack", "init", "platform-dev"], cwd=project, env=engine.environment(),
        check=True, capture_output=True,
    )  # fmt: skip
    assert ops(project, pulumi, "deploy", "platform-dev").returncode == 0
    assert ops(project, pulumi, "kubeconfig", "train-dev", "--out", "kubeconfig").returncode == 0
    assert (project / "kubeconfig").read_text() == "apiVersion: v1"
    assert (project / "kubeconfig").stat().st_mode & 0o077 == 0
