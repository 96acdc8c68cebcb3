"""Children stream their output, end with their command, and never outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import processes

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _starts_allowed() -> Iterator[None]:
    yield
    processes.allow_starts()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_lines_of_both_streams_arrive_while_the_child_runs() -> None:
    seen: list[tuple[float, str]] = []
    script = "echo one; echo two >&2; sleep 0.5; echo three; exit 3"
    ended = processes.stream(["sh", "-c", script], on_line=lambda line: seen.append((time.monotonic(), line)))
    assert ended.status == 3
    assert [line for _, line in seen] == ["one", "two", "three"] == list(ended.lines)
    assert seen[2][0] - seen[1][0] > 0.3, "the first lines must not be held back until the end"


def test_only_the_last_lines_are_kept() -> None:
    assert processes.stream(["seq", "1000"], keep=2).lines == ("999", "1000")


def test_output_that_is_not_text_does_not_stop_the_reading() -> None:
    assert processes.stream(["printf", r"a\377b\n"]).lines == ("a�b",)


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        processes.stream(["no-such-program"])


def test_stop_all_ends_children_and_grandchildren_and_forbids_new_ones() -> None:
    pids: list[int] = []
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            # The grandchild ignores the interrupt, as a compiler's helper may.
            script = "trap '' INT; sleep 60 & echo $!; wait"
            processes.stream(["sh", "-c", script], on_line=lambda line: pids.append(int(line)))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: bool(pids))
    processes._GRACE_SECONDS, grace = 0.5, processes._GRACE_SECONDS  # type: ignore[attr-defined]
    try:
        processes.stop_all()
    finally:
        processes._GRACE_SECONDS = grace  # type: ignore[attr-defined]
    thread.join(10)
    assert isinstance(outcome[0], processes.Stopped)
    wait_for(lambda: not is_alive(pids[0]))
    with pytest.raises(processes.Stopped):
        processes.stream(["true"])


def test_an_exception_of_the_reader_ends_the_child() -> None:
    pids: list[int] = []

    def on_line(line: str) -> None:
        pids.append(int(line))
        raise ValueError("reader")

    with pytest.raises(ValueError, match="reader"):
        processes.stream(["sh", "-c", "echo $$; exec sleep 60"], on_line=on_line)
    assert not is_alive(pids[0])


def test_the_child_ends_when_we_are_killed() -> None:
    script = "from local import processes; processes.stream(['sh', '-c', 'echo $$; exec sleep 60'], on_line=print)"
    parent = subprocess.Popen([sys.executable, "-uc", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        child = int(output.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not is_alive(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_a_cancelled_job_and_a_closed_terminal_end_children_of_all_threads(number: signal.Signals) -> None:
    script = (
        "import os\n"
        "from local import errors, parallel, processes\n"
        # print() writes a line and its end apart from each other, and two threads may mix them.
        "say = lambda line: os.write(1, f'{line}\\n'.encode())\n"
        "child = lambda: processes.stream(['sh', '-c', 'echo $$; exec sleep 60'], on_line=say)\n"
        "def work():\n"
        "    with parallel.Together() as parts:\n"
        "        parts.start(child), parts.start(child)\n"
        "processes.end_in_order()\n"
        "raise SystemExit(errors.run(work))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-uc", script], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    children = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(number)
    _, errors = parent.communicate(timeout=15)
    assert parent.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not any(is_alive(child) for child in children)
