"""A workflow of GitHub's, run here for a recorded event: its jobs, steps, conditions and expressions.

Every `run:` is run as it is written, by bash, in the folder and with the variables that it would have there. Of the
actions, checkouts and artifacts are done with git and folders; setting up Python and taking a role need not be done
here, and `make prepare`, which installs, gives the checkouts this project's own environment instead.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_PATH = re.compile(r"[a-zA-Z_][\w-]*(\.[\w*-]+)*")


@dataclass
class Job:
    """`result` is success, failure or skipped, as other jobs and conditions see it."""

    result: str = "success"
    outputs: dict[str, str] = field(default_factory=dict[str, str])
    log: str = ""


@dataclass
class Workflow:
    """`repository` is a git repository that has the event's commits; `folder` is for the runners and artifacts."""

    text: str
    event: Mapping[str, Any]
    repository: Path
    folder: Path
    variables: Mapping[str, str]
    python: Path = Path(sys.executable)
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])

    def run(self) -> dict[str, Job]:
        for name, job in yaml.safe_load(self.text)["jobs"].items():
            self.jobs[name] = self._job(name, job)
        return self.jobs

    def _job(self, name: str, job: dict[str, Any]) -> Job:
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        done = {need: self.jobs[need] for need in needs}
        context = Context(self.event, done)
        condition = job.get("if")
        fine = all(need.result == "success" for need in done.values())
        if not (fine if condition is None else context.holds(condition, fine=fine)) or (
            condition is not None and "cancelled()" not in str(condition) and not fine
        ):
            return Job("skipped")
        matrix = job.get("strategy", {}).get("matrix", {})
        runs = [Job()]
        if matrix:
            ((key, values),) = matrix.items()
            listed = json.loads(context.text(values)) if isinstance(values, str) else values
            rows = listed if key == "include" else [{key: value} for value in listed]
            runs = [self._runner(f"{name}-{number}", job, context, row) for number, row in enumerate(rows)]
        else:
            runs = [self._runner(name, job, context, {})]
        failed = any(run.result == "failure" for run in runs)
        outputs = {key: value for run in runs for key, value in run.outputs.items()}
        return Job("failure" if failed else "success", outputs, "\n".join(run.log for run in runs))

    def _runner(self, name: str, job: dict[str, Any], asked: Context, matrix: Mapping[str, Any]) -> Job:
        root = self.folder / name
        root.mkdir(parents=True)
        context = asked.on(root, matrix)
        result = Job()
        for number, step in enumerate(job["steps"]):
            state = {"fine": result.result == "success", "root": root}
            if not context.holds(step.get("if", "success()"), **state):
                continue
            status = self._step(step, root, job, context, result, number)
            if status and not step.get("continue-on-error"):
                result.result = "failure"
        for key, value in (job.get("outputs") or {}).items():
            result.outputs[key] = context.text(value)
        return result

    def _step(
        self, step: dict[str, Any], root: Path, job: dict[str, Any], context: Context, result: Job, number: int
    ) -> int:
        given = {key: context.text(value) for key, value in (step.get("with") or {}).items()}
        if "uses" in step:
            self._action(step["uses"].partition("@")[0], given, root)
            return 0
        script = context.text(step["run"])
        if script.startswith("make ") and " prepare" in script:
            self._prepare(script, root)
            return 0
        outputs = root / f".output-{number}"
        outputs.touch()
        values = {**(job.get("env") or {}), **(step.get("env") or {})}
        path = f"{self.python.parent}{os.pathsep}{self.variables['PATH']}"
        # A variable of the repository that is not set leaves what the test has set.
        given = {key: text for key, value in values.items() if (text := context.text(value))}
        environment = {
            **self.variables, **given, "PATH": path, "GITHUB_OUTPUT": str(outputs), "GITHUB_REPOSITORY": "o/manta",
            "GITHUB_STEP_SUMMARY": str(root / ".summary"),
        }  # fmt: skip
        ended = subprocess.run(
            ["bash", "-e", "-c", script], cwd=root / step.get("working-directory", "."), env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        result.log += f"$ {script}\n{ended.stdout}"
        if "id" in step:
            lines = [line.partition("=") for line in outputs.read_text().splitlines()]
            context.steps[step["id"]] = {"outputs": {key: value for key, _, value in lines}}
        return ended.returncode

    def _action(self, name: str, given: dict[str, str], root: Path) -> None:
        match name:
            case "actions/checkout":
                target = root / given.get("path", ".")
                clone = ["git", "clone", "-q", "--no-checkout", str(self.repository), str(target / ".clone")]
                subprocess.run(clone, check=True, capture_output=True)
                (target / ".clone" / ".git").rename(target / ".git")
                (target / ".clone").rmdir()
                git = ["git", "-C", str(target), "checkout", "-q", "--force", given.get("ref") or "main"]
                subprocess.run(git, check=True, capture_output=True)
            case "actions/upload-artifact":
                if (root / given["path"]).exists():
                    shutil.copytree(root / given["path"], self.folder / "artifacts" / given["name"])
            case "actions/download-artifact":
                for artifact in sorted((self.folder / "artifacts").glob(given.get("pattern") or given["name"])):
                    shutil.copytree(artifact, root / given["path"], dirs_exist_ok=True)
            case "actions/setup-python" | "aws-actions/configure-aws-credentials":
                pass
            case _:
                raise AssertionError(f"{name} is no action that is known here")

    def _prepare(self, script: str, root: Path) -> None:
        words = script.split()
        first = root / (words[words.index("-C") + 1] if "-C" in words else ".")
        also = [first / word.removeprefix("ALSO=") for word in words if word.startswith("ALSO=")]
        for checkout in (first, *also):
            (checkout / ".venv").symlink_to(self.python.parents[1])


@dataclass
class Context:
    """What expressions see."""

    event: Mapping[str, Any]
    needs: Mapping[str, Job]
    matrix: Mapping[str, Any] = field(default_factory=dict[str, Any])
    steps: dict[str, Any] = field(default_factory=dict[str, Any])
    root: Path = Path()

    def on(self, root: Path, matrix: Mapping[str, Any]) -> Context:
        """The same on a runner of its own, in the folder `root`."""
        return Context(self.event, self.needs, matrix, {}, root)

    def text(self, value: Any) -> str:
        """`value` with its expressions replaced by what they are worth."""
        return _EXPRESSION.sub(lambda found: _as_text(self._value(found[1])), str(value))

    def holds(self, condition: str, *, fine: bool, root: Path | None = None) -> bool:
        """A condition of a job or step; `fine` is whether nothing before it has failed."""
        inner = _EXPRESSION.fullmatch(str(condition).strip())
        parts = [part.strip() for part in (inner[1] if inner else str(condition)).split("&&")]
        return all(self._part(part, fine, root) for part in parts)

    def _part(self, part: str, fine: bool, root: Path | None) -> bool:
        match part:
            case "success()":
                return fine
            case "always()" | "!cancelled()":
                return True
            case "!failure()":
                return fine
        if found := re.fullmatch(r"hashFiles\('([^']+)'\) != ''", part):
            return root is not None and (root / found[1]).exists()
        if found := re.fullmatch(r"(\S+) (==|!=) (\S+|'[^']*')", part):
            same = _as_text(self._value(found[1])) == _as_text(self._value(found[3]))
            return same if found[2] == "==" else not same
        raise AssertionError(f"{part} is no condition that is known here")

    def _value(self, expression: str) -> Any:
        if found := re.fullmatch(r"fromJSON\((.+)\)", expression):
            return self._value(found[1])
        if found := re.fullmatch(r"contains\((\S+), '([^']+)'\) && '([^']*)' \|\| '([^']*)'", expression):
            return found[3] if found[2] in (self._value(found[1]) or []) else found[4]
        if found := re.fullmatch(r"'([^']*)'", expression):
            return found[1]
        assert _PATH.fullmatch(expression), f"{expression} is no expression that is known here"
        return self._at(expression.split("."))

    def _at(self, parts: list[str]) -> Any:
        github = {
            "event": self.event, "repository": "o/manta", "server_url": "https://github.com", "run_id": "1",
            "token": "t0ken", "workspace": str(self.root), "event_name": "pull_request", "ref": "refs/pull/7/merge",
        }  # fmt: skip
        needs = {name: {"result": job.result, "outputs": job.outputs} for name, job in self.needs.items()}
        # Variables of the repository: those that the workflow takes from there come from the test's own environment.
        place: Any = {"github": github, "needs": needs, "matrix": self.matrix, "steps": self.steps, "vars": {}}
        for position, part in enumerate(parts):
            if part == "*":
                return [_deep(entry, parts[position + 1 :]) for entry in place]
            place = place.get(part, "") if isinstance(place, Mapping) else ""
        return place


def _deep(value: Any, parts: list[str]) -> Any:
    for part in parts:
        value = value.get(part, "")
    return value


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
