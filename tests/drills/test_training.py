"""Training runs that lose a part of what they stand on end well, repeat little and leave one whole record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from kubernetes import client

from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks, runs_of
from tests.drills import disturb, training
from tests.drills.table import note
from tests.drills.training import EPOCHS

# The same rows in the same order give the same numbers, but for the last bits of what is summed in another order.
SAME = 1e-6
Drill = Callable[[str, str, Callable[[str], object]], bool]


@dataclass(frozen=True)
class Calm:
    """An undisturbed run: its seconds from `make up` to the end, and its last loss."""

    seconds: float
    loss: float


@pytest.fixture(scope="module")
def server(local_settings: LocalSettings) -> str:
    return f"http://127.0.0.1:{local_settings.ports.mlflow}"


@pytest.fixture(scope="module")
def calm(deployed: Stacks, server: str) -> Iterator[Calm]:
    with runs_of(deployed) as named:
        name = named("calm").name
        trace = training.train(name)
        assert trace.returncode == 0, trace.printed
        (record,) = training.records(server, name)
        note("undisturbed run", f"{trace.seconds:.0f} s, {len(trace.epochs)} epochs", "-", True)
        yield Calm(trace.seconds, record.data.metrics["loss"])


@pytest.fixture
def drill(new_run: Callable[[str], Run], server: str, calm: Calm) -> Drill:
    """Disturbs a training and says whether it kept its bounds; each of them is in the table."""

    def run(title: str, name: str, take: Callable[[str], object]) -> bool:
        made = new_run(name)
        trace = training.train(made.name, lambda: take(made.stack))
        assert trace.disturbed_at is not None, trace.printed
        found = training.records(server, made.name)
        assert found, trace.printed
        logged, loss = training.epochs_logged(server, found[0]), found[0].data.metrics["loss"]
        whole = len(found) == 1 and logged == list(range(1, EPOCHS + 1))
        cost = f"{trace.pause:.1f} s without a new epoch, {trace.seconds - calm.seconds:+.0f} s in all"
        kept = [
            note(title, "SUCCEEDED" if trace.returncode == 0 else "FAILED", "SUCCEEDED", trace.returncode == 0),
            note(title, f"{trace.repeated} epochs repeated", "at most 1", trace.repeated <= 1),
            note(title, f"{len(found)} runs in MLflow, {len(logged)} epochs", f"1, {EPOCHS}", whole),
            note(title, f"loss differs by {abs(loss - calm.loss):.1e}", f"{SAME:.0e}", abs(loss - calm.loss) <= SAME),
            note(title, cost, "-", True),
        ]  # fmt: skip
        if not all(kept):
            print(trace.printed)
        return all(kept)

    return run


@pytest.mark.parametrize(
    ("title", "name", "role", "words"),
    [
        ("training worker", "kill-worker", "worker", "ray::RayTrainWorker"),
        ("raylet of a worker", "kill-raylet", "worker", "raylet/raylet"),
        ("head's GCS", "kill-gcs", "head", "gcs/gcs_server"),
    ],
)
def test_kill_9(drill: Drill, core: client.CoreV1Api, title: str, name: str, role: str, words: str) -> None:
    def take(stack: str) -> None:
        disturb.kill_process(core, disturb.pods(core, stack, role)[0], words)

    assert drill(f"kill -9 of the {title}", name, take)
