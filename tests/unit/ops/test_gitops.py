"""What the workflows call beside the report: which stacks, what drifted, and the one comment or issue."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.changed import affected
from ops.drift import drifted, markdown
from ops.report.markdown import MARKER
from ops.report.read import parse_refresh
from tests.unit.ops.json_server import JsonServer, Request
from tests.unit.ops.previews import BUCKET, DEPLOYMENT, Step, step

STACKS = ["platform-local", "platform-dev", "platform-prod", "train-dev-a", "serve-prod", "train-prod", "workbench-dev"]

DEPLOYED = ["platform-dev", "platform-prod", "train-dev-a", "train-prod", "serve-prod", "workbench-dev"]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["README.md", "docs/local.md"], []),
        (["stacks/Pulumi.serve-prod.yaml"], ["serve-prod"]),
        (["stacks/Pulumi.platform-local.yaml"], []),
        (["payloads/training/train.py"], ["train-dev-a", "train-prod", "serve-prod"]),
        (["infra/stack.py"], DEPLOYED),
        (["policies/facts.py"], DEPLOYED),
        (["stacks/Pulumi.gone-prod.yaml"], []),
    ],
)
def test_only_stacks_that_a_change_can_change_are_previewed(files: list[str], found: list[str]) -> None:
    assert affected(files, STACKS, ["dev", "prod"]) == found


def test_the_change_is_read_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "stacks").mkdir()
    for stack in ("serve-prod", "serve-dev"):
        (tmp_path / "stacks" / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "first")
    (tmp_path / "stacks" / "Pulumi.serve-prod.yaml").write_text("config: {a: 1}\n")
    git("commit", "-qam", "second")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["changed", "--base", "HEAD~1", "--json"])
    assert json.loads(result.stdout) == ["serve-prod"]
    monkeypatch.chdir(Path(tmp_path).parent)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    CliRunner().invoke(app, ["changed", "--checkout", str(tmp_path), "--base", "HEAD~1", "--output", "stacks"])
    assert (tmp_path / "output").read_text().splitlines() == [
        'stacks=["serve-prod"]', 'stacks-matrix=[{"stack": "serve-prod", "environment": "prod"}]',
    ]  # fmt: skip
    wrong = CliRunner().invoke(app, ["changed", "--base", "--output=/tmp/x"])
    assert isinstance(wrong.exception, MantaError)


def refresh(*steps: Step) -> str:
    """As `pulumi refresh --preview-only --json` streams it: each resource is read, and the end says what was found."""
    events: list[dict[str, Any]] = []
    for each in steps:
        metadata = {"urn": each["urn"], "old": each.get("oldState"), "new": each.get("newState"), "detailedDiff": None}
        events.append({"resourcePreEvent": {"metadata": {**metadata, "op": "refresh"}}})
        events.append({"resOutputsEvent": {"metadata": {**metadata, "op": each["op"]}}})
    events.append({"summaryEvent": {}})
    return "\n".join(json.dumps({"sequence": number, **event}) for number, event in enumerate(events))


def test_drift_is_what_is_not_as_it_was_deployed() -> None:
    steps = [
        step("same", BUCKET, "kept", {"a": 1}, {"a": 1}),
        step("update", DEPLOYMENT, "operator", {"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}),
        step("delete", BUCKET, "gone", {}),
    ]
    found = drifted(parse_refresh(refresh(*steps), "platform-prod", "x"))
    assert [(each.operation, each.name) for each in found] == [("update", "operator"), ("delete", "gone")]
    text = markdown("platform-prod", found)
    assert "- **changed**: `operator` `kubernetes:apps/v1:Deployment`\n  - `spec.replicas` `1` → `3`" in text
    assert "- **gone**: `gone`" in text


def test_no_drift_exits_with_0_and_drift_with_1(tmp_path: Path) -> None:
    for steps, status in (([step("same", BUCKET, "a", {}, {})], 0), ([step("delete", BUCKET, "a", {})], 1)):
        path = tmp_path / "refresh.json"
        path.write_text(refresh(*steps))
        result = CliRunner().invoke(app, ["drift", "platform-prod", "--recorded", str(path)])
        assert result.exit_code == status, result.output


def test_a_workflow_is_told_of_drift_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "refresh.json").write_text(refresh(step("delete", BUCKET, "a", {})))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    recorded = ["drift", "platform-prod", "--recorded", str(tmp_path / "refresh.json")]
    result = CliRunner().invoke(app, [*recorded, "--out", str(tmp_path / "drift.md"), "--output", "drifted"])
    assert result.exit_code == 0
    assert (tmp_path / "output").read_text() == "drifted=true\n"
    assert "- **gone**: `a`" in (tmp_path / "drift.md").read_text()


def test_an_output_outside_of_a_workflow_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "refresh.json").write_text(refresh(step("same", BUCKET, "a", {}, {})))
    monkeypatch.delenv("GITHUB_OUTPUT", raising=False)
    recorded = ["drift", "platform-prod", "--recorded", str(tmp_path / "refresh.json"), "--output", "drifted"]
    assert "--output drifted is for a workflow's step" in str(CliRunner().invoke(app, recorded).exception)


def test_a_secrets_content_is_not_part_of_a_drifts_text() -> None:
    secret = step("update", "kubernetes:core/v1:Secret", "s", {"data": {"a": "eA=="}}, {"data": {"a": "aHVudGVyMg=="}})
    assert "aHVudGVyMg" not in markdown("s", drifted(parse_refresh(refresh(secret), "platform-prod", "x")))


class Forge:
    """GitHub's API as far as comments and issues go, over HTTP."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.server = JsonServer(self.respond)

    def respond(self, request: Request) -> tuple[int, Any]:
        self.tokens.add(request.token)
        listed = self.comments if "/comments" in request.path else self.issues
        if request.method == "GET":
            return 200, listed
        if request.method == "POST":
            listed.append({"id": len(listed) + 1, "number": len(listed) + 1, "user": {"type": "Bot"}, **request.body})
            return 200, listed[-1]
        (entry,) = [each for each in listed if str(each["id"]) == request.path.rsplit("/", 1)[-1]]
        entry.update(request.body)
        return 200, entry


@pytest.fixture
def forge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    forge = Forge()
    monkeypatch.setenv("GITHUB_API_URL", forge.server.url)
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    yield forge
    forge.server.end()


def publish(path: Path, text: str, *arguments: str) -> Any:
    path.write_text(text)
    return CliRunner().invoke(app, ["publish", str(path), "--repository", "o/n", *arguments])


def test_a_second_comment_takes_the_place_of_the_first_and_leaves_peoples_alone(forge: Forge, tmp_path: Path) -> None:
    forge.comments.append({"id": 1, "body": f"{MARKER}\nby hand", "user": {"type": "User"}})
    for text in ("one", "two"):
        assert publish(tmp_path / "c.md", f"{MARKER}\n{text}", "--number", "7").exit_code == 0
    assert [each["body"] for each in forge.comments] == [f"{MARKER}\nby hand", f"{MARKER}\ntwo"]
    assert forge.tokens == {"Bearer t0ken"}


def test_an_issue_is_opened_once_updated_and_closed(forge: Forge, tmp_path: Path) -> None:
    title = ("--title", "Drift: platform-prod")
    publish(tmp_path / "i.md", "one", *title)
    publish(tmp_path / "i.md", "two", *title)
    assert [(each["title"], each["body"]) for each in forge.issues] == [("Drift: platform-prod", "two")]
    publish(tmp_path / "i.md", "gone", *title, "--close")
    assert forge.issues[0]["state"] == "closed"


def test_the_token_is_sent_nowhere_but_over_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "t0ken")
    monkeypatch.setenv("GITHUB_API_URL", "http://example.com")
    result = publish(tmp_path / "c.md", "x", "--number", "1")
    assert "must be an https address" in str(result.exception)
    assert "t0ken" not in str(result.exception)
