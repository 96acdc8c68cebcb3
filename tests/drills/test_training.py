"""Training runs that lose a worker or their driver end well, repeat little and leave one record."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kubernetes import client

from local.settings import LocalSettings
from tests.cluster.main_job.conftest import Run, Stacks
from tests.drills import training
from tests.drills.table import note
from tests.drills.training import EPOCHS, Trace

# In deterministic mode the same batches give the same numbers, to the last bits of what is summed in another order.
SAME = 1e-6


@pytest.fixture(scope="module")
def calm(deployed: Stacks, local_settings: LocalSettings) -> tuple[Trace, float]:
    """An undisturbed run, and its final loss."""
    import secrets

    name = f"calm-{secrets.token_hex(3)}"
    trace = training.train(name)
    assert trace.returncode == 0, trace.printed
    (record,) = training.mlflow_runs(local_settings.ports.mlflow, name)
    note("undisturbed run", f"{trace.seconds:.0f} s, {len(trace.epochs)} epochs", "-", True)
    return trace, training.final(record, "loss")


def ended_well(drill: str, trace: Trace, records: int, loss: float, calm: tuple[Trace, float], repeats: int) -> None:
    """The figures that all these drills have; every line goes into the table before any of them fails the test."""
    kept = [
        note(drill, "SUCCEEDED" if trace.returncode == 0 else "FAILED", "SUCCEEDED", trace.returncode == 0),
        note(drill, f"{trace.repeated} epochs repeated", f"at most {repeats}", trace.repeated <= repeats),
        note(drill, f"{records} runs in MLflow", "1", records == 1),
        note(drill, f"loss differs by {abs(loss - calm[1]):.1e}", f"at most {SAME:.0e}", abs(loss - calm[1]) <= SAME),
        note(
            drill,
            f"{trace.stalled:.1f} s to the next new epoch, {trace.seconds - calm[0].seconds:+.0f} s in all",
            "-",
            True,
        ),
    ]
    assert all(kept), trace.printed
    assert trace.numbers[-1] == EPOCHS


@pytest.fixture
def drilled(
    new_run: Callable[[str], Run], local_settings: LocalSettings, calm: tuple[Trace, float]
) -> Callable[[str, str, Callable[[str], object], int], Trace]:
    """Runs a disturbed training and judges it."""

    def run(drill: str, name: str, disturb: Callable[[str], object], repeats: int) -> Trace:
        made = new_run(name)
        trace = training.train(made.name, lambda: disturb(made.stack))
        records = training.mlflow_runs(local_settings.ports.mlflow, made.name)
        assert records, trace.printed
        ended_well(drill, trace, len(records), training.final(records[-1], "loss"), calm, repeats)
        return trace

    return run


def test_kill_9_of_a_training_worker(drilled: Callable[..., Trace], core: client.CoreV1Api) -> None:
    def kill(stack: str) -> None:
        training.kill_process(core, training.pods(core, stack, "worker")[0], "ray::RayTrainWorker")

    drilled("kill -9 of a training worker", "kill-worker", kill, 1)


def test_kill_9_of_the_driver(drilled: Callable[..., Trace], core: client.CoreV1Api) -> None:
    def kill(stack: str) -> None:
        training.kill_process(core, training.pods(core, stack, "head")[0], "-m payloads.training.train")

    drilled("kill -9 of the driver", "kill-driver", kill, 1)


def test_kill_9_of_a_worker_pod(drilled: Callable[..., Trace], core: client.CoreV1Api) -> None:
    def kill(stack: str) -> None:
        training.kill_pod(core, training.pods(core, stack, "worker")[0])

    drilled("worker pod killed without notice", "kill-pod", kill, 1)


def test_spot_notice_on_a_training_worker(drilled: Callable[..., Trace], core: client.CoreV1Api) -> None:
    def notice(stack: str) -> None:
        training.evict(core, training.pods(core, stack, "worker")[0])

    trace = drilled("spot notice on a training worker", "notice", notice, 1)
    # Ray drains the node until its deadline; only then the group restarts on the replacement.
    assert note(
        "spot notice on a training worker", f"longest pause {trace.pause:.1f} s", "at most 15 s", trace.pause <= 15
    )
