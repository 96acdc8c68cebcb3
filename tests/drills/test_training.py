"""Training runs that lose a part of what they stand on end well, repeat little and leave one whole record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from kubernetes import client

from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks, runs_of
from tests.drills import disturb, training
from tests.drills.table import note
from tests.drills.training import EPOCHS, Trace

# The same rows in the same order give the same numbers, but for the last bits of what is summed in another order.
SAME = 1e-6
NOTICE, FIVE = "spot notice on a training worker", "five workers killed in one run"
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
        ("head", "-m payloads.training.train", 1),
        ("head", "gcs/gcs_server", 1),
    ],
    ids=["training worker", "raylet of a worker", "driver", "head's GCS"],
)
def test_kill_9(
    drill: Drill, core: client.CoreV1Api, role: str, words: str, repeats: int, request: pytest.FixtureRequest
) -> None:
    def take(stack: str) -> None:
        disturb.kill_process(core, disturb.pods(core, stack, role)[0], words)

    name = words.rsplit("/")[-1].rsplit(".")[-1].rsplit(":")[-1].lower().replace("_", "-")
    drill(f"kill -9 of the {request.node.callspec.id}", f"kill-{name}"[:20], take, repeats=repeats)


def test_a_worker_pod_gone_without_notice(drill: Drill, core: client.CoreV1Api) -> None:
    drill("worker pod gone without notice", "kill-pod", lambda stack: disturb.kill_pod(core, a_worker(core, stack)))


def test_five_workers_killed_in_one_run(drill: Drill, core: client.CoreV1Api, calm: Calm) -> None:
    def take(stack: str) -> None:
        disturb.kill_process(core, a_worker(core, stack), "ray::RayTrainWorker")

    drill(FIVE, "kill-five", take, repeats=5, at=(3, 5, 7, 9, 11))


def test_spot_notice(drill: Drill, core: client.CoreV1Api) -> None:
    replacements: list[disturb.Replacement] = []

    def take(stack: str) -> None:
        replacements.append(disturb.Replacement(core, stack))
        disturb.evict(core, a_worker(core, stack))

    trace = drill(NOTICE, "notice", take, repeats=0)
    (replacement,) = replacements
    assert replacement.ready_at is not None
    assert note(NOTICE, *_saved(trace))
    stalled = max(0.0, trace.pause[1] - max(replacement.ready_at, trace.pause[1] - trace.pause[0]))
    figure = f"{stalled:.1f} s stalled once the replacement was there"
    assert note(NOTICE, figure, "at most 15 s", stalled <= 15), trace.printed


@pytest.mark.parametrize("deployment", ["mlflow", "s3", "kuberay-operator"])
def test_a_part_of_the_platform_is_away_for_a_minute(drill: Drill, apps: client.AppsV1Api, deployment: str) -> None:
    back: list[Any] = []
    drill(
        f"{deployment} away for a minute", f"no-{deployment[:8]}",
        lambda _: back.append(disturb.away_for(apps, deployment, 60)), repeats=0,
    )  # fmt: skip
    back[0].join()


def a_worker(core: client.CoreV1Api, stack: str) -> Any:
    return disturb.pods(core, stack, "worker")[0]


def _saved(trace: Trace) -> tuple[str, str, bool]:
    """What the run said of the checkpoints that it saved because of the notice."""
    said = [line.strip() for line in trace.printed.splitlines() if "a node goes away: saved" in line]
    return (said[-1] if said else "no checkpoint saved on notice"), "saved on notice", bool(said)
