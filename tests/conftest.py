"""Fixtures of the cluster tier: the real cluster and the real main job, brought up as a person would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.settings import LocalSettings, load

PROJECT = Path(__file__).resolve().parent.parent
# A first `make up` compiles Kubernetes; a hung one must not eat the whole of CI's time.
_UP_TIMEOUT_S = 40 * 60


def make(target: str, *assignments: str, check: bool = True, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """`make <target>` as a person types it; its output is in `stdout`, both streams together."""
    result = subprocess.run(
        ["make", target, *assignments],
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


@pytest.fixture(scope="session")
def local_settings() -> LocalSettings:
    return load()


@pytest.fixture(scope="session")
def main_job() -> subprocess.CompletedProcess[str]:
    """The whole main job: after this the cluster runs, the model is trained and the service answers."""
    return make("up")


@pytest.fixture(scope="session")
def kubeconfig(main_job: subprocess.CompletedProcess[str], local_settings: LocalSettings) -> Iterator[Path]:
    """Credentials of the running cluster, also in KUBECONFIG for tools that look there."""
    path = local_settings.kubeconfig
    previous = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(path)
    yield path
    if previous is None:
        del os.environ["KUBECONFIG"]
    else:
        os.environ["KUBECONFIG"] = previous
