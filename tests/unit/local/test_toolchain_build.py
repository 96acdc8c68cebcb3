"""Building a small module with the real Go compiler: once, whole, and safe from every interruption."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from local.errors import MantaError
from local.progress import PlainReporter
from local.settings import LocalSettings
from local.toolchain import build, cache, golang, modules

PROJECT = Path(__file__).resolve().parents[3]
_BUILD = """
import sys
from pathlib import Path
from rich.console import Console
from local.errors import run
from local.progress import PlainReporter
from local.settings import load
from local.toolchain import build, golang, modules
module = modules.Module(name="tiny", directory=Path(sys.argv[1]), packages=("./hello",), flags=("-ldflags=-s -w",))
sys.exit(run(lambda: print("entry", build.ensure_module(module, golang.find(), load(), PlainReporter(Console())))))
"""


@pytest.fixture
def module(tmp_path: Path) -> modules.Module:
    folder = tmp_path / "module"
    (folder / "hello").mkdir(parents=True)
    (folder / "go.mod").write_text("module tiny\n\ngo 1.21\n")
    (folder / "go.sum").write_text("")
    (folder / "hello" / "main.go").write_text('package main\n\nfunc main() { print("hello") }\n')
    return modules.Module(name="tiny", directory=folder, packages=("./hello",), flags=("-ldflags=-s -w",))


@pytest.fixture
def settings(tmp_path: Path) -> LocalSettings:
    return LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache")


@pytest.fixture
def go() -> golang.Go:
    found = golang.find()
    assert found is not None, "these tests need Go, as `make up` does"
    return found


def ensure(module: modules.Module, go: golang.Go, settings: LocalSettings) -> tuple[Path, str]:
    said = io.StringIO()
    entry = build.ensure_module(module, go, settings, PlainReporter(Console(file=said)))
    return entry, said.getvalue()


def start(module: modules.Module, settings: LocalSettings, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(module.directory)],
        cwd=PROJECT,
        env={**os.environ, "MANTA_CACHE_DIR": str(settings.cache_dir), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def scratch_folders(settings: LocalSettings) -> list[Path]:
    return list(settings.toolchain_dir.glob(".scratch-*"))


def go_processes(module: modules.Module) -> list[str]:
    """Command lines of what still builds in the module's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(module.directory):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_what_is_built_runs(module: modules.Module, go: golang.Go, settings: LocalSettings) -> None:
    entry, _ = ensure(module, go, settings)
    ended = subprocess.run([entry / "bin" / "hello"], capture_output=True, text=True, check=True)
    assert ended.stderr == "hello"
    assert not scratch_folders(settings)


def test_a_second_run_builds_nothing_and_says_so(
    module: modules.Module, go: golang.Go, settings: LocalSettings
) -> None:
    entry, _ = ensure(module, go, settings)
    built = (entry / "bin" / "hello").stat().st_ino
    started = time.monotonic()
    again, said = ensure(module, go, settings)
    assert time.monotonic() - started < 1.0
    assert again == entry
    assert (entry / "bin" / "hello").stat().st_ino == built
    assert "already built" in said


def test_a_damaged_entry_is_built_again(module: modules.Module, go: golang.Go, settings: LocalSettings) -> None:
    entry, _ = ensure(module, go, settings)
    (entry / "bin" / "hello").write_bytes(b"damaged")
    again, said = ensure(module, go, settings)
    assert again == entry
    assert cache.is_whole(entry)
    assert "damaged" in said


def test_a_changed_source_is_built_beside_the_old_entry(
    module: modules.Module, go: golang.Go, settings: LocalSettings
) -> None:
    before, _ = ensure(module, go, settings)
    (module.directory / "hello" / "main.go").write_text("package main\n\nfunc main() {}\n")
    after, _ = ensure(module, go, settings)
    assert after != before
    assert cache.is_whole(before), "a running cluster may still use the old one"


def test_two_runs_at_once_build_once(module: modules.Module, settings: LocalSettings) -> None:
    with ThreadPoolExecutor() as pool:
        cold = str(settings.cache_dir / "empty-go-cache")  # compiling takes long enough for the second run to come
        runs = [start(module, settings, GOCACHE=cold) for _ in range(2)]
        outputs = list(pool.map(lambda run: run.communicate(timeout=120)[0], runs))
    assert [run.returncode for run in runs] == [0, 0], outputs
    built = [output for output in outputs if "packages compiled" in output]
    assert len(built) == 1, outputs
    waited = next(output for output in outputs if output not in built)
    # Who holds the lock writes its number after it has got it: for a moment nobody knows which process it is.
    assert re.search(r"waiting for (process \d+|another process), which builds", waited)
    assert "built by another run" in waited


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_entry_and_no_compiler_and_the_next_one_ends_well(
    module: modules.Module, go: golang.Go, settings: LocalSettings, how: signal.Signals
) -> None:
    # An empty build cache makes this compile Go's own library, so that there is time to interrupt it.
    run = start(module, settings, GOCACHE=str(settings.cache_dir / "empty-go-cache"))
    wait_for(lambda: any("compile" in line for line in descendants(run.pid)), 60)
    run.send_signal(how)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), output
    wait_for(lambda: not go_processes(module), 30)
    assert not list(settings.toolchain_dir.glob("tiny-*"))
    if how == signal.SIGINT:
        assert not scratch_folders(settings)
    entry, _ = ensure(module, go, settings)
    assert cache.is_whole(entry)
    assert not scratch_folders(settings)


def descendants(pid: int) -> list[str]:
    """Names of all descendants of a process."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "stat").read_text()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
        names[int(process.name)] = name
        children.setdefault(int(rest[1]), []).append(int(process.name))
    found, todo = [], [pid]
    while todo:
        for child in children.get(todo.pop(), []):
            found.append(names[child])
            todo.append(child)
    return found


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.05)


def test_an_error_of_the_compiler_is_shown_with_its_own_lines(
    module: modules.Module, go: golang.Go, settings: LocalSettings
) -> None:
    (module.directory / "hello" / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(MantaError, match="Go failed while building the tiny tools") as caught:
        ensure(module, go, settings)
    assert "undefined: nonsense" in (caught.value.detail or "")
    assert not list(settings.toolchain_dir.glob("tiny-*"))


def test_a_cache_that_cannot_be_written_names_the_setting(
    module: modules.Module, go: golang.Go, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(MantaError, match="MANTA_CACHE_DIR"):
        ensure(module, go, LocalSettings(state_dir=tmp_path / "state", cache_dir=tmp_path / "cache"))
