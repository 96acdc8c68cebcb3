"""The lock of a stack, where the engine that took it was killed, and where it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.engine.stacks import ensure_stack
from tests.cluster.engine.project import Project, until

NewProject = Callable[..., Project]
SLOW = "import time\nfrom pathlib import Path\nPath('started').touch()\ntime.sleep(600)\n"


@contextmanager
def updating(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """An update that holds the lock; it never outlives the block."""
    process = subprocess.Popen(
        project.command("up", "--yes", "--skip-preview", "--stack", project.stack),
        cwd=project.folder, env=dict(project.environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until((project.folder / "started").exists, 60)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_the_lock_of_a_killed_update_does_not_hold_up_the_next(new_project: NewProject) -> None:
    project = new_project(SLOW)
    with updating(project) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    project.write("import pulumi\npulumi.export('well', True)\n")
    assert "the stack is currently locked" in project.up(check=False).output, "it left no lock, and shows nothing"
    ensure_stack(project.pulumi, project.environment, project.folder, project.stack)
    project.up()
    assert project.outputs() == {"well": True}


def test_the_lock_of_an_update_that_goes_on_is_left_alone(new_project: NewProject) -> None:
    project = new_project(SLOW)
    with updating(project):
        ensure_stack(project.pulumi, project.environment, project.folder, project.stack)
        second = project.up(check=False)
    assert second.code != 0
    assert "the stack is currently locked" in second.output
