"""What the drills share with the tests of the main job, and their table at the end."""

from __future__ import annotations

import pytest

from tests.cluster.main_job.conftest import Run, Stacks, core, deployed, new_run
from tests.drills import table

__all__ = ["Run", "Stacks", "core", "deployed", "new_run"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table.LINES:
        terminalreporter.section("drills")
        terminalreporter.write_line(table.rendered(table.LINES))
