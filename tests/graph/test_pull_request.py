"""A pull request to platform-prod, replayed through the workflow's own steps with the real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.graph.engine import PROJECT, Engine
from tests.graph.standing import stand
from tests.graph.workflow import Job, Workflow
from tests.unit.ops.test_gitops import Forge

EVENT = Path(__file__).resolve().parent / "events" / "pull_request.json"
STACK = "stacks/Pulumi.platform-prod.yaml"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def production(pulumi: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """platform-prod, up for as far as the engine can tell."""
    engine = Engine(pulumi, tmp_path_factory.mktemp("production"))
    engine.init("platform-prod")
    stand(engine, "platform-prod")
    return engine


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as the branch main of a repository."""
    folder = tmp_path_factory.mktemp("repository")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "base")
    return folder


@pytest.fixture
def forge() -> Iterator[Forge]:
    forge = Forge()
    yield forge
    forge.server.end()


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def replay(
    production: Engine, repository: Path, forge: Forge, folder: Path, change: Change, *labels: str
) -> dict[str, Job]:
    """Open a pull request with `change` of the stack file, and run preview.yml for it."""
    base = git(repository, "rev-parse", "main")
    git(repository, "checkout", "-q", "-B", "change", "main")
    content = yaml.safe_load((repository / STACK).read_text())
    change(content["config"])
    (repository / STACK).write_text(yaml.safe_dump(content, sort_keys=False))
    git(repository, "commit", "-qam", "change")
    event = json.loads(EVENT.read_text())
    event["pull_request"]["base"]["sha"] = base
    event["pull_request"]["head"]["sha"] = git(repository, "rev-parse", "HEAD")
    event["pull_request"]["labels"] = [{"name": label} for label in labels]
    variables = {
        **production.environment(), "PATH": f"{production.pulumi.parent}{os.pathsep}{production.environment()['PATH']}",
        "GITHUB_API_URL": forge.server.url,
    }  # fmt: skip
    text = (repository / ".github" / "workflows" / "preview.yml").read_text()
    return Workflow(text, event, repository, folder, variables).run()


def dangerous(config: dict[str, Any]) -> None:
    config["manta:aws"]["network"]["cidr"] = "10.99.0.0/16"
    config["manta:aws"]["capacity"]["gpu"]["limit"] = 1000


def harmless(config: dict[str, Any]) -> None:
    config["manta:aws"]["budget"]["monthlyUsd"] = 25000


def test_a_dangerous_change_fails_with_a_comment_that_says_why(
    production: Engine, repository: Path, forge: Forge, tmp_path: Path
) -> None:
    jobs = replay(production, repository, forge, tmp_path, dangerous)
    assert {name: job.result for name, job in jobs.items()} == {
        "stacks": "success", "preview": "success", "report": "failure",
    }, jobs["report"].log + jobs["preview"].log  # fmt: skip
    (comment,) = forge.comments
    first_screen = "\n".join(comment["body"].splitlines()[:25])
    for words in (
        "### ⛔ This change is blocked",
        "**3 broken mandatory rules**",
        "**7 destructive changes to what is protected or holds data**",
        "| `platform-prod` | 0 | 12 | **40** | 0 | 580 | 64 → 2000 |",
        "- **REPLACED: `vpc`** `aws:ec2/vpc:Vpc` (protected and holds state), because `cidrBlock` cannot be changed in",
        "- **`cost-gpu-ceiling`** (high) `gpu-spot`: up to 1000 GPUs, and prod may have 64",
    ):
        assert words in first_screen
    if out := os.environ.get("COMMENT_FOLDER"):
        (Path(out) / "dangerous.md").write_text(comment["body"])


def test_a_harmless_change_passes(production: Engine, repository: Path, forge: Forge, tmp_path: Path) -> None:
    jobs = replay(production, repository, forge, tmp_path, harmless)
    assert {job.result for job in jobs.values()} == {"success"}, jobs["report"].log + jobs["preview"].log
    (comment,) = forge.comments
    assert "### ✅ Nothing destructive, no rule broken" in comment["body"]
    assert "- changed `monthly` `aws:budgets/budget:Budget`\n  - `limitAmount` `20000` → `25000`" in comment["body"]
    if out := os.environ.get("COMMENT_FOLDER"):
        (Path(out) / "harmless.md").write_text(comment["body"])
