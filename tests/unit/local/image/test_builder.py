"""How buildah is called: offline first, with uv's cache filled only when it lacks something; and what it leaves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local import processes
from local.errors import MantaError
from local.image import dockerfile, oci
from local.image.removal import remove
from local.settings import LocalSettings

OFFLINE = "hint: Packages were unavailable because the network was disabled. When the network is disabled, ..."


class Silent:
    def update(self, *, completed: float | None = None, total: float | None = None, detail: str | None = None) -> None:
        pass

    def note(self, line: str) -> None:
        pass

    def result(self, text: str) -> None:
        pass


class Programs:
    """Stands for buildah and uv: notes each call and ends it as `answers` say, with success when they run out."""

    def __init__(self, answers: list[processes.Ended]) -> None:
        self.answers = answers
        self.calls: list[str] = []

    def __call__(self, command: Sequence[str], **_: Any) -> processes.Ended:
        self.calls.append(" ".join([Path(command[0]).name, *(word for word in command if word in ("bud", "install"))]))
        return self.answers.pop(0) if self.answers else processes.Ended(0, ())


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {tmp_path}/cache\n")
    uv.chmod(0o755)
    monkeypatch.setattr(dockerfile, "uv", lambda _: uv)
    settings = LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")
    (tmp_path / "image").mkdir()

    def run(answers: list[processes.Ended]) -> list[str]:
        programs = Programs(answers)
        monkeypatch.setattr(processes, "stream", programs)
        dockerfile.build(settings, oci.Layout(tmp_path / "base"), tmp_path / "image" / "ray-1", Silent())
        return programs.calls

    return run


def test_a_filled_cache_is_used_as_it_is(build: Any, tmp_path: Path) -> None:
    assert build([]) == ["buildah bud"]
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == ["ray-1"], "scratch folders stayed"


def test_a_cache_that_lacks_something_is_filled_once(build: Any) -> None:
    assert build([processes.Ended(1, (OFFLINE,))]) == ["buildah bud", "uv", "uv install", "buildah bud"]


def test_any_other_failure_is_the_dockerfiles_and_shows_its_end(build: Any) -> None:
    with pytest.raises(MantaError, match="could not be built from payloads/Dockerfile") as raised:
        build([processes.Ended(1, ("useradd: not found",))])
    assert raised.value.detail == "useradd: not found"


def test_a_network_that_is_down_is_said(build: Any) -> None:
    down = processes.Ended(2, ("error sending request for url (https://index.example/simple/torch/)",))
    with pytest.raises(MantaError, match="package index could not be reached while fetching the image's packages"):
        build([processes.Ended(1, (OFFLINE,)), down])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_what_is_mounted_in_a_scratch_folder_survives_its_removal(tmp_path: Path) -> None:
    kept, work = tmp_path / "kept", tmp_path / "work"
    kept.mkdir()
    (kept / "precious").touch()
    (work / "mnt").mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(kept), str(work / "mnt")], check=True)
    remove(work)
    assert not work.exists()
    assert (kept / "precious").exists()
    assert str(work) not in Path("/proc/self/mountinfo").read_text()
