"""A model server that loses a worker, is rolled out, or is asked by more than it can answer at once."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from bench import wrk
from local.environment import CHECKOUT
from local.settings import LocalSettings
from local.up.digit import ask, real_digit
from tests.cluster.main_job.conftest import Stacks
from tests.drills import disturb
from tests.drills.table import note

STACK = "serve-local"
# Long enough for a worker to be replaced and for the old one to drain; enough answers to see one in 50,000 fail.
_SECONDS, _ANSWERS, _CONNECTIONS = 120, 50_000, 8
_DISTURB_AFTER_S = 5


@pytest.fixture(scope="module")
def url(local_settings: LocalSettings, deployed: Stacks) -> str:
    return f"http://127.0.0.1:{local_settings.ports.serve}/predict"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wrk") / "predict.lua"
    path.write_text(wrk.lua({"pixels": list(real_digit().pixels)}))
    return path


@pytest.fixture(scope="module")
def calm(url: str, script: Path) -> wrk.Load:
    load = wrk.wrk(script, url, 20, _CONNECTIONS)
    assert (load.errors, load.lost) == (0, 0)
    note("undisturbed server", f"{load.rate:.0f} answers/s, p99 {load.p99:.0f} ms", "-", True)
    return load


@pytest.fixture(autouse=True)
def healed(url: str, core: client.CoreV1Api, local_settings: LocalSettings) -> Iterator[None]:
    """Every drill begins with the head and both workers ready, and leaves them so."""
    yield
    deadline = time.monotonic() + 240
    while [sum(map(disturb.is_ready, disturb.pods(core, STACK, role))) for role in ("head", "worker")] != [1, 2]:
        assert time.monotonic() < deadline, "the model server has not got its head and two workers after four minutes"
        time.sleep(1)
    ask(url.removesuffix("/predict"), real_digit())


@pytest.fixture
def drill(url: str, script: Path, calm: wrk.Load) -> Callable[..., bool]:
    """Disturbs the server under load and says whether it kept its bounds; each of them is in the table."""

    def run(title: str, take: Callable[[], object], *, failed: int = 0, slower: float = math.inf) -> bool:
        with ThreadPoolExecutor(1) as thread:
            taken = thread.submit(lambda: (time.sleep(_DISTURB_AFTER_S), take()))
            load = wrk.wrk(script, url, _SECONDS, _CONNECTIONS)
        taken.result()  # a server that was never disturbed has passed nothing
        bad = load.errors + load.lost
        bound = f"{slower:g} times {calm.p99:.0f} ms" if math.isfinite(slower) else "-"
        kept = [
            note(title, f"{bad} of {load.answers} requests failed", f"at most {failed}", bad <= failed),
            note(title, f"{load.answers} answers", f"at least {_ANSWERS}", load.answers >= _ANSWERS),
            note(title, f"p99 {load.p99:.0f} ms", bound, load.p99 <= slower * calm.p99),
        ]
        return all(kept)

    return run


def test_spot_notice(drill: Callable[..., bool], core: client.CoreV1Api) -> None:
    assert drill(
        "spot notice on a serving worker",
        lambda: disturb.evict(core, disturb.pods(core, STACK, "worker")[0]),
        slower=3,
    )


def test_a_worker_gone_without_notice(drill: Callable[..., bool], core: client.CoreV1Api) -> None:
    """What the worker has in hand when it dies is lost, and nothing else."""
    assert drill(
        "serving worker gone without notice",
        lambda: disturb.kill_pod(core, disturb.pods(core, STACK, "worker")[0]),
        failed=_CONNECTIONS,
        slower=3,
    )


def test_a_new_bundle(drill: Callable[..., bool], deployed: Stacks, tmp_path: Path) -> None:
    before = deployed.outputs(STACK)["bundle"]
    shutil.copytree(CHECKOUT / "payloads", tmp_path / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "payloads" / "rollout_marker.py").write_text(f"VALUE = {time.time()}\n")
    settings = yaml.safe_load((CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    settings["config"]["manta:bundle"] = str(tmp_path / "payloads")
    changed = tmp_path / f"Pulumi.{STACK}.yaml"
    changed.write_text(yaml.safe_dump(settings))
    try:
        assert drill("rolling update of the payload bundle", lambda: deployed.up(STACK, changed))
        assert deployed.outputs(STACK)["bundle"] != before
    finally:
        deployed.up(STACK)


def test_five_times_the_connections_that_keep_it_busy(url: str, script: Path, core: client.CoreV1Api) -> None:
    """Each connection waits for its answer: this fills the queues."""
    full = 64
    before = _restarts(core)
    capacity = wrk.wrk(script, url, 20, full)
    over = wrk.wrk(script, url, _SECONDS, 5 * full)
    restarts = _restarts(core) - before
    began = time.monotonic()
    ask(url.removesuffix("/predict"), real_digit())
    answered = time.monotonic() - began
    after = wrk.wrk(script, url, 10, _CONNECTIONS)
    good = over.rate - over.errors / _SECONDS
    title = f"overload: {5 * full} connections for {_SECONDS} s"
    share = f"{good:.0f} good answers/s of {capacity.rate:.0f}"
    kept = [
        note(title, share, "at least 90 %", good >= 0.9 * capacity.rate),
        note(title, f"{over.errors} refused, {over.lost} without an answer, p99 {over.p99:.0f} ms", "-", True),
        note(title, f"{restarts} restarts", "0", restarts == 0),
        note(title, f"answers {answered:.1f} s later, then p99 {after.p99:.0f} ms", "at most 5 s", answered <= 5),
    ]
    assert all(kept)


def _restarts(core: client.CoreV1Api) -> int:
    workers = disturb.pods(core, STACK, "worker")
    return sum(status.restart_count for pod in workers for status in pod.status.container_statuses)
