"""A model server that loses a worker, is rolled out or is asked for five times what it can do."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client

from bench import wrk
from local.environment import CHECKOUT
from local.settings import LocalSettings
from local.up.digit import ask, real_digit
from tests.cluster.main_job.conftest import Stacks
from tests.cluster.main_job.test_rollout import Load
from tests.drills import training
from tests.drills.table import note

STACK = "serve-local"
# Long enough for a replica to be replaced and for the old one to drain.
_SECONDS = 120


@pytest.fixture
def url(local_settings: LocalSettings, deployed: Stacks) -> str:
    return f"http://127.0.0.1:{local_settings.ports.serve}"


@pytest.fixture(autouse=True)
def healed(url: str, core: client.CoreV1Api) -> Iterator[None]:
    """Every drill begins with both workers, and leaves them so."""
    yield
    deadline = time.monotonic() + 180
    while sum(ready(pod) for pod in training.pods(core, STACK, "worker")) < 2:
        assert time.monotonic() < deadline, "the model server has not got its two workers back after three minutes"
        time.sleep(1)
    ask(url, real_digit())


def ready(pod: client.V1Pod) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def under_load(url: str, disturb: Callable[[], object], seconds: int) -> Load:
    with Load(f"{url}/predict") as load:
        time.sleep(5)
        disturb()
        time.sleep(seconds)
    return load


def test_spot_notice_on_a_serving_worker(url: str, core: client.CoreV1Api) -> None:
    load = under_load(url, lambda: training.evict(core, training.pods(core, STACK, "worker")[0]), _SECONDS)
    figure = f"{len(load.failures)} of {load.answered} requests failed"
    assert note("spot notice on a serving worker", figure, "0", not load.failures), load.failures[:5]


def test_kill_of_a_serving_worker(url: str, core: client.CoreV1Api) -> None:
    """Without notice: what the worker has in hand when it dies is lost, and nothing else."""
    load = under_load(url, lambda: training.kill_pod(core, training.pods(core, STACK, "worker")[0]), 60)
    figure = f"{len(load.failures)} of {load.answered} requests failed"
    assert note("serving worker killed without notice", figure, "at most 40", len(load.failures) <= 40), load.failures[
        :5
    ]


def test_rolling_update_of_the_bundle(url: str, deployed: Stacks, tmp_path: Path) -> None:
    before = deployed.outputs(STACK)["bundle"]
    shutil.copytree(CHECKOUT / "payloads", tmp_path / "payloads", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "payloads" / "rollout_marker.py").write_text(f"VALUE = {time.time()}\n")
    settings = yaml.safe_load((CHECKOUT / "stacks" / f"Pulumi.{STACK}.yaml").read_text())
    settings["config"]["manta:bundle"] = str(tmp_path / "payloads")
    changed = tmp_path / f"Pulumi.{STACK}.yaml"
    changed.write_text(yaml.safe_dump(settings))
    started = time.monotonic()
    took: list[float] = []

    def update() -> None:
        deployed.up(STACK, changed)
        took.append(time.monotonic() - started)

    load = under_load(url, update, 75)
    assert deployed.outputs(STACK)["bundle"] != before
    figure = f"{len(load.failures)} of {load.answered} requests failed, {took[0]:.0f} s to the switch"
    kept = note("rolling update of the payload bundle", figure, "0", not load.failures)
    deployed.up(STACK)
    assert kept, load.failures[:5]


def test_overload_at_five_times_capacity(url: str, core: client.CoreV1Api, tmp_path: Path) -> None:
    script = tmp_path / "predict.lua"
    script.write_text(wrk.lua({"pixels": list(real_digit().pixels)}))
    calm = wrk.wrk(script, f"{url}/predict", 20, 64)
    over = wrk.wrk(script, f"{url}/predict", 60, 64 * 5)
    restarts = sum(
        status.restart_count for pod in training.pods(core, STACK, "worker") for status in pod.status.container_statuses
    )
    began = time.monotonic()
    ask(url, real_digit())
    after = wrk.wrk(script, f"{url}/predict", 10, 64)
    recovered = time.monotonic() - began - 10
    good = over.rate - over.errors / 60
    kept = [
        note(
            "overload: 320 connections for 60 s",
            f"{good:.0f} good answers/s of {calm.rate:.0f}",
            "at least 90 %",
            good >= 0.9 * calm.rate,
        ),
        note("overload: 320 connections for 60 s", f"{over.errors} refused, p99 {over.p99:.0f} ms", "-", True),
        note("overload: 320 connections for 60 s", f"{restarts} restarts", "0", restarts == 0),
        note(
            "overload: 320 connections for 60 s",
            f"answers {recovered:.1f} s later, p99 {after.p99:.0f} ms after {calm.p99:.0f}",
            "at most 5 s",
            recovered <= 5,
        ),
    ]
    assert all(kept)
