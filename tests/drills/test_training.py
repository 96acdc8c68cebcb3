"""Training runs that lose a part of what they stand on end well, repeat little and leave one whole record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from kubernetes import client

from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks, runs_of
from tests.drills import disturb, training
from tests.drills.table import note
from tests.drills.training import EPOCHS, Trace

# The same rows in the same order give the same numbers, but for the last bits of what is summed in another order.
SAME = 1e-6
Drill = Callable[..., Trace]


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
    """Disturbs a training at epochs `at` and judges it; every line is in the table before one fails the test."""

    def run(
        title: str, name: str, take: Callable[[str], object], *, repeats: int = 1, at: Sequence[int] = (3,)
    ) -> Trace:
        made = new_run(name)
        trace = training.train(made.name, lambda: take(made.stack), at)
        found = training.records(server, made.name)
        assert found, trace.printed
        logged, loss = training.epochs_logged(server, found[0]), found[0].data.metrics["loss"]
        whole = len(found) == 1 and logged == list(range(1, EPOCHS + 1))
        cost = f"{trace.pause[0]:.1f} s without a new epoch, {trace.seconds - calm.seconds:+.0f} s in all"
        kept = [
            note(title, "SUCCEEDED" if trace.returncode == 0 else "FAILED", "SUCCEEDED", trace.returncode == 0),
            note(title, f"{trace.repeated} epochs repeated", f"at most {repeats}", trace.repeated <= repeats),
            note(title, f"{len(found)} runs in MLflow, {len(logged)} epochs", f"1, {EPOCHS}", whole),
            note(title, f"loss differs by {abs(loss - calm.loss):.1e}", f"{SAME:.0e}", abs(loss - calm.loss) <= SAME),
            note(title, cost, "-", True),
        ]  # fmt: skip
        assert all(kept), trace.printed
        assert len(trace.disturbed) == len(at)
        return trace

    return run


@pytest.mark.parametrize(
    ("role", "words", "repeats"),
    [
        ("worker", "ray::RayTrainWorker", 1),
        ("worker", "raylet/raylet", 1),
        ("head", "gcs/gcs_server", 1),
    ],
    ids=["training worker", "raylet of a worker", "head's GCS"],
)
def test_kill_9(
    drill: Drill, core: client.CoreV1Api, role: str, words: str, repeats: int, request: pytest.FixtureRequest
) -> None:
    def take(stack: str) -> None:
        disturb.kill_process(core, disturb.pods(core, stack, role)[0], words)

    name = words.rsplit("/")[-1].rsplit(".")[-1].rsplit(":")[-1].lower().replace("_", "-")
    drill(f"kill -9 of the {request.node.callspec.id}", f"kill-{name}"[:20], take, repeats=repeats)
