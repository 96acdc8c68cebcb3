"""The workflows: what they may do, and their steps run here as they run there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import click
import pytest
import typer
import yaml

from ops.__main__ import app
from tests.unit.ops.previews import BUCKET, DEPLOYMENT, Step, policy, step, stream, urn

PROJECT = Path(__file__).resolve().parents[3]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (PROJECT / ".github/workflows").glob("*.yml")}
STEPS = [
    (name, job, step) for name, flow in WORKFLOWS.items() for job in flow["jobs"].values() for step in job["steps"]
]  # fmt: skip


@pytest.mark.parametrize("action", sorted({step["uses"] for _, _, step in STEPS if "uses" in step}))
def test_an_action_is_pinned_by_commit(action: str) -> None:
    assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_permission_but_what_a_job_asks_for(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    for title, job in WORKFLOWS[name]["jobs"].items():
        assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests", "issues"}
        # One job makes a branch, for the pull request that it opens; it runs on main alone and takes no role.
        writes = (name, title) == ("image", "propose")
        assert job["permissions"]["contents"] == ("write" if writes else "read")
        # A job that may write comments runs no program of a pull request; one that takes a role names an environment.
        if "id-token" in job["permissions"]:
            assert "environment" in job
            assert "pull-requests" not in job["permissions"]


def test_no_text_from_outside_is_pasted_into_a_script() -> None:
    assert [step["run"] for _, _, step in STEPS if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize(
    ("name", "script"), [(name, step["run"]) for name, _, step in STEPS if "run" in step], ids=lambda part: part[:40]
)
def test_a_step_is_one_call_that_can_be_made_here_too(name: str, script: str) -> None:
    words = script.split()
    assert "\n" not in script.strip()
    assert words[0] == "make" or words[:3] == ["python", "-m", "ops"], f"{name}: {script}"
    assert re.search(r"[;|`<]|&&|\$\(", script) is None


def test_every_call_of_a_step_is_one_that_ops_knows() -> None:
    """Names and options: a step that is misspelt would be seen on GitHub alone."""
    for _, _, each in STEPS:
        words = each.get("run", "").split()
        if words[:3] == ["python", "-m", "ops"]:
            command: Any = cast(click.Group, typer.main.get_command(app)).commands[words[3]]
            command = command.commands[words[4]] if hasattr(command, "commands") else command
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= known


def test_a_linter_of_workflows_finds_nothing_unsafe() -> None:
    linter = Path(sys.executable).parent / "zizmor"
    command = [linter, "--offline", "--persona", "pedantic", "--strict-collection", "--format", "plain"]
    result = subprocess.run([*command, PROJECT / ".github"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in WORKFLOWS:
        assert f"completed .github/workflows/{name}.yml" in result.stderr.replace(f"{PROJECT}/", "")


def test_no_workflow_gives_a_pull_request_the_base_branches_rights() -> None:
    # YAML 1.1 reads the key `on` as true.
    assert [name for name, flow in WORKFLOWS.items() if "pull_request_target" in flow[True]] == []


def test_a_checkout_keeps_no_token() -> None:
    checkouts = [step for _, _, step in STEPS if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_the_change_is_judged_by_the_base_branch() -> None:
    preview = WORKFLOWS["preview"]["jobs"]["preview"]["steps"]
    (change,) = [each for each in preview if each.get("name") == "Preview the change"]
    assert change["working-directory"] == "base"
    assert "--project ../head" in change["run"]
    assert "--policies" not in change["run"]  # the pack beside the command: the base branch's


def test_an_update_is_never_cancelled() -> None:
    for job in ("dev", "prod"):
        assert WORKFLOWS["deploy"]["jobs"][job]["concurrency"]["cancel-in-progress"] is False


def test_production_gets_the_plan_that_was_shown_and_nothing_else() -> None:
    jobs = WORKFLOWS["deploy"]["jobs"]
    scripts = {name: [each.get("run", "") for each in jobs[name]["steps"]] for name in ("plan", "prod")}
    assert 'python -m ops preview "$STACK" --out plans --plan' in scripts["plan"]
    assert any('--out "$GITHUB_STEP_SUMMARY"' in script for script in scripts["plan"])
    assert 'python -m ops deploy "$STACK" --plan "plans/$STACK.plan"' in scripts["prod"]
    assert (jobs["prod"]["environment"], jobs["prod"]["needs"]) == ("prod", ["stacks", "plan"])


def test_what_the_workflows_install_has_a_version() -> None:
    pinned = (PROJECT / "requirements.txt").read_text()
    for name in (PROJECT / ".github/requirements.in").read_text().splitlines():
        assert name.startswith("#") or re.search(rf"^{re.escape(name)}(\[.*\])?==", pinned, re.MULTILINE), name


def report_step() -> Any:
    (found,) = [each for each in WORKFLOWS["preview"]["jobs"]["report"]["steps"] if each.get("id") == "report"]
    return found


def replay(
    folder: Path, *head: Step, policies: Any = (), label: str = "none", expected: tuple[str, ...] = ("platform-prod",)
) -> tuple[int, str]:
    """The report step, as the workflow runs it, on previews of platform-prod: its exit status and the comment."""
    for side, steps in (("base", (head[0],)), ("head", head)):
        (folder / "previews" / side).mkdir(parents=True, exist_ok=True)
        text = stream(*steps, policies=policies if side == "head" else ())
        (folder / "previews" / side / "platform-prod.json").write_text(text)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), "ALLOWED": label, "LINK": "https://x/1",
        "STACKS": json.dumps(expected),
    }  # fmt: skip
    result = subprocess.run(["bash", "-ec", report_step()["run"]], cwd=folder, env=environment, check=False)
    return result.returncode, (folder / "comment.md").read_text()


SAME = step("same", BUCKET, "data", {"bucket": "b"}, {"bucket": "b"}, protect=True)


def test_a_harmless_change_of_production_passes(tmp_path: Path) -> None:
    harmless = step("update", DEPLOYMENT, "operator", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}})
    status, comment = replay(tmp_path, SAME, harmless)
    assert status == 0
    assert "### ✅ Nothing destructive, no rule broken" in comment


def test_a_dangerous_change_of_production_fails_with_a_comment_that_says_why(tmp_path: Path) -> None:
    dangerous = [
        step("replace", "aws:eks/cluster:Cluster", "cluster", {"name": "manta-prod"}, {"name": "manta-prod2"},
             protect=True, forced_by=["name"]),
        step("delete", BUCKET, "checkpoints", {"bucket": "manta-prod-checkpoints"}, protect=True),
    ]  # fmt: skip
    said = policy(
        "aws-eks-endpoint", "the API server's public endpoint is open to the whole internet: switch it off",
        resource=urn("aws:eks/cluster:Cluster", "cluster"),
    )  # fmt: skip
    status, comment = replay(tmp_path, SAME, *dangerous, policies=[said])
    assert status == 1
    head = comment[:1500]
    for words in (
        "### ⛔ This change is blocked",
        "**1 broken mandatory rule**",
        "**2 destructive changes to what is protected or holds data**",
        "- **DELETED: `checkpoints`** `aws:s3/bucket:Bucket` (protected and holds state)",
        "- **REPLACED: `cluster`** `aws:eks/cluster:Cluster` (protected and holds state), because `name` cannot",
        "- **`aws-eks-endpoint`** (high) `cluster`: the API server's public endpoint is open to the whole internet",
    ):
        assert words in head
    status, _ = replay(tmp_path, SAME, *dangerous, label="allow-destructive")
    assert status == 0


def test_a_stack_whose_preview_left_nothing_blocks_the_change(tmp_path: Path) -> None:
    status, comment = replay(tmp_path, SAME, expected=("platform-prod", "serve-prod"))
    assert status == 1
    assert "- `serve-prod`: **the preview failed**" in comment
    assert "its preview left nothing: see the log of its job" in comment


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["versions"], 0), (["report", "nowhere"], 3), (["no-such-command"], 2), (["report"], 2)],
)
def test_a_command_ends_with_its_documented_status_and_no_traceback(arguments: list[str], status: int) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ops", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert result.returncode == status
    assert "Traceback" not in result.stderr
