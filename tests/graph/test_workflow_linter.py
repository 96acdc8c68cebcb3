"""The workflows under actionlint, which is built from its pinned module."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local.progress import reporter
from local.settings import load
from local.toolchain import golang, modules
from local.toolchain.build import ensure_module

WORKFLOWS = Path(__file__).resolve().parents[2] / ".github" / "workflows"


@pytest.fixture(scope="session")
def actionlint() -> Path:
    go = golang.find()
    assert go is not None, "Go is not installed"
    return ensure_module(modules.checks(), go, load(), reporter()) / "bin" / "actionlint"


def lint(actionlint: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([actionlint, "-no-color", *files], capture_output=True, text=True, check=False)


def test_the_workflows_are_what_github_understands(actionlint: Path) -> None:
    result = lint(actionlint, *WORKFLOWS.glob("*.yml"))
    assert (result.returncode, result.stdout) == (0, "")


def test_the_linter_sees_a_misspelt_output(actionlint: Path, tmp_path: Path) -> None:
    text = (WORKFLOWS / "drift.yml").read_text()
    broken = tmp_path / "drift.yml"
    broken.write_text(text.replace("steps.compare.", "steps.compaer."))
    result = lint(actionlint, broken)
    assert result.returncode == 1
    assert 'property "compaer" is not defined' in result.stdout
