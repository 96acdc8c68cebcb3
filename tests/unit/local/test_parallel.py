"""Parts that run side by side end together, and the first failure is the one that is told."""

from __future__ import annotations

import threading
import time

import pytest

from local import processes
from local.errors import MantaError
from local.parallel import Together


def sleep_in_a_child() -> None:
    processes.stream(["sleep", "60"])


def test_results_are_in_the_futures() -> None:
    with Together() as together:
        one, two = together.start(lambda: 1), together.start(lambda: 2)
    assert (one.result(), two.result()) == (1, 2)


def test_a_failing_part_ends_the_others_and_is_what_is_raised() -> None:
    def fail() -> None:
        time.sleep(0.3)
        raise MantaError("the disk is full")

    started = time.monotonic()
    with pytest.raises(MantaError, match="disk"), Together() as together:
        together.start(fail)
        sleep_in_a_child()
    assert time.monotonic() - started < 30, "the sleeping child was not ended"


def test_ctrl_c_in_the_main_thread_ends_the_children_of_the_others() -> None:
    running = threading.Event()

    def wait() -> None:
        running.set()
        sleep_in_a_child()

    with pytest.raises(KeyboardInterrupt), Together() as together:
        together.start(wait)
        running.wait()
        raise KeyboardInterrupt


def test_children_can_be_started_again_afterwards() -> None:
    with pytest.raises(MantaError), Together() as together:
        together.start(lambda: (_ for _ in ()).throw(MantaError("no")))
        sleep_in_a_child()
    assert processes.stream(["true"]).status == 0
