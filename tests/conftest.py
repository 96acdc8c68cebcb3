"""Fixtures of the cluster tier: the real cluster and the real main job, brought up as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.progress import reporter
from local.settings import LocalSettings, load
from local.toolchain import golang, modules
from local.toolchain.build import ensure_module
from local.up import shell

PROJECT = Path(__file__).resolve().parent.parent
# A first `make up` compiles Kubernetes; a hung one must not eat the whole of CI's time.
_UP_TIMEOUT_S = 40 * 60


def make(target: str, *assignments: str, check: bool = True, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """`make <target>` as a person types it; its output is in `stdout`, both streams together.

    Under `make test` a make names its folders around the output, which a person's does not.
    """
    result = subprocess.run(
        ["make", "--no-print-directory", target, *assignments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_UP_TIMEOUT_S,
        check=False,
    )
    assert not check or result.returncode == 0, f"make {target} ended with {result.returncode}:\n{result.stdout}"
    return result


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the cluster, and run it last: cheap failures are seen first, and the teardown of the main job
    comes after everything that uses what it tears down."""
    for item in items:
        if "main_job" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
    items.sort(key=_order)


def _order(item: pytest.Item) -> int:
    if PROJECT / "tests" / "cluster" / "main_job" in item.path.parents:
        return 3
    if item.get_closest_marker("cluster"):
        return 2
    if PROJECT / "tests" / "sim" in item.path.parents:
        return 1
    return 1 if PROJECT / "tests" / "cluster" in item.path.parents else 0


@pytest.fixture(scope="session")
def local_settings() -> LocalSettings:
    return load()


@pytest.fixture(scope="session")
def main_job() -> subprocess.CompletedProcess[str]:
    """The whole main job: after this the cluster runs, the model is trained and the service answers."""
    return make("up")


@pytest.fixture(scope="session")
def kubeconfig(main_job: subprocess.CompletedProcess[str], local_settings: LocalSettings) -> Iterator[Path]:
    """Credentials of the running cluster, also in KUBECONFIG, with kubectl on PATH for tools that call it."""
    path = local_settings.kubeconfig
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(path))
        patch.setenv("PATH", f"{shell.tools(local_settings).bin_dir}{os.pathsep}{os.environ['PATH']}")
        yield path


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """An official `pulumi` on PATH, or ours of the toolchain, built if it is not there yet."""
    if official := shutil.which("pulumi"):
        return Path(official)
    go = golang.find()
    assert go is not None, "neither pulumi nor Go is installed"
    return ensure_module(modules.pulumi(), go, load(), reporter()) / "bin" / "pulumi"
