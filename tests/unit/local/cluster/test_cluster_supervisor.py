"""The supervisor's parts that need no namespace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.cluster import files, lock
from local.cluster.spec import Component
from local.cluster.supervisor import logs
from local.cluster.supervisor.process import Process, answering

PROJECT = Path(__file__).resolve().parents[4]


def test_the_lock_tells_who_holds_it_until_that_process_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert lock.holder(file) is None
    program = f"from local.cluster import lock; from pathlib import Path; lock.acquire(Path({str(file)!r})); print(1)"
    holder = subprocess.Popen(
        [sys.executable, "-c", program + "; import time; sys = time.sleep(60)"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        assert lock.holder(file) == holder.pid
        with pytest.raises(BlockingIOError):
            lock.acquire(file)
    finally:
        holder.kill()
        holder.communicate()
    assert file.exists()
    assert lock.holder(file) is None, "a killed holder leaves no stale lock"


def test_a_component_that_keeps_ending_is_restarted_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    process = Process(Component("x", ("x",)))
    pauses: list[float] = []
    for _ in range(8):
        process.pid, process.started_at = 1, now
        process.ended(signal.SIGKILL)
        pauses.append(process.not_before - now)
    assert pauses == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0])
    assert process.restarts == 8
    assert process.last_exit == "SIGKILL"
    process.pid, process.started_at = 1, now - 61
    process.ended(256)
    assert process.not_before - now == pytest.approx(0.2)
    assert process.last_exit == "exit status 1"


def test_a_component_runs_in_a_session_of_its_own_with_its_output_in_its_log(tmp_path: Path) -> None:
    component = Component("x", ("/bin/sh", "-c", "echo to the log; echo $WORD >&2"), environment={"WORD": "and this"})
    process = Process(component)
    process.start(tmp_path)
    assert process.pid is not None
    _, status = os.waitpid(process.pid, 0)
    assert status == 0
    assert (tmp_path / "x.log").read_text() == "to the log\nand this\n"
    assert (tmp_path / "x.log").stat().st_mode & 0o777 == 0o600


def test_a_component_inherits_nothing_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "hidden")
    process = Process(Component("x", ("/usr/bin/env",)))
    process.start(tmp_path)
    assert process.pid is not None
    os.waitpid(process.pid, 0)
    names = {line.partition("=")[0] for line in (tmp_path / "x.log").read_text().splitlines()}
    assert names == {"PATH", "HOME", "LANG"}


def test_a_program_that_is_not_there_says_so_in_its_log(tmp_path: Path) -> None:
    process = Process(Component("x", ("/nonexistent/program",)))
    process.start(tmp_path)
    assert process.pid is not None
    _, status = os.waitpid(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 127
    assert "/nonexistent/program cannot be started" in (tmp_path / "x.log").read_text()


def test_sockets_answer_or_do_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as local:
        tcp = f"tcp:127.0.0.1:{listener.getsockname()[1]}"
        unix = f"unix:{tmp_path / 'socket'}"
        local.bind(str(tmp_path / "socket"))
        assert answering([tcp])
        assert not answering([tcp, unix]), "bound, but nobody listens"
        local.listen()
        assert answering([tcp, unix])
    assert not answering([tcp])
    assert answering([])


def test_a_long_log_is_cut_while_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 10)
    descriptor = logs.open_log(tmp_path, "x")
    os.write(descriptor, b"short")
    logs.rotate(tmp_path)
    assert not (tmp_path / "x.log.1").exists()
    os.write(descriptor, b" and long")
    logs.rotate(tmp_path)
    os.write(descriptor, b"new")
    os.close(descriptor)
    assert (tmp_path / "x.log.1").read_text() == "short and long"
    assert (tmp_path / "x.log").read_text() == "new", "no hole of zeros where the old lines were"


def test_a_private_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    original = os.fsync

    def observe(descriptor: int) -> None:
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", observe)
    previous = os.umask(0)
    try:
        assert files.write_private(tmp_path / "key", "secret")
    finally:
        os.umask(previous)
    assert modes == [0o600]
    assert not files.write_private(tmp_path / "key", "secret"), "the same content is not written again"
    assert files.write_private(tmp_path / "key", "other")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_the_supervisor_imports_the_standard_library_alone() -> None:
    program = (
        "import sys; from local.cluster.supervisor import __main__; "
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-S", "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"__main__", "local"}, "every import stays in the resident supervisor's memory"
