"""What a log shows of long and short work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.progress import PlainReporter, duration


def test_a_short_stage_is_its_start_and_its_end() -> None:
    said = io.StringIO()
    with PlainReporter(Console(file=said)).stage("image pause") as stage:
        for done in range(100):
            stage.update(completed=done, total=100, detail="copying")
        stage.result("2 MB")
    lines = said.getvalue().splitlines()
    assert len(lines) == 2, lines
    assert lines[0] == "image pause ..."
    assert lines[1].endswith("(2 MB)")


def test_a_failed_stage_says_so() -> None:
    said = io.StringIO()
    with pytest.raises(RuntimeError), PlainReporter(Console(file=said)).stage("cluster"):
        raise RuntimeError
    assert "cluster: failed after" in said.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.44, "0.4 s"), (12.4, "12 s"), (185, "3 min 05 s")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
