"""Ray Core on a real Ray: what the run claims to prove, seen from outside, and each proof failing when it should."""

from __future__ import annotations

import asyncio
import os
import signal

import numpy as np
import pytest
import ray
from drivers import Output, drive, drive_until
from sklearn.preprocessing import StandardScaler

from payloads.common.errors import PayloadError
from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.common.tasks import Limits, bounded
from payloads.core import prove, server, zerocopy
from payloads.core.shards import Shards

SMALL = {
    "num_workers": 3,
    "shards": 12,
    "shard_rows": 500,
    "shard_columns": 8,
    "parameters": 2000,
    "steps": 40,
    "matrix_rows": 200_000,
    "matrix_columns": 64,
    "slices": 3,
}
GRADIENTS = 3 * 40


@pytest.fixture(scope="module")
def first(ray_cluster: str) -> Output:
    return drive(prove.main, run_name="first", **SMALL)


def shards_of(output: Output) -> Shards:
    return Shards(open_storage(read_platform()), output.result["folder"], 12, 500, 8)


def test_the_run_proves_what_it_prints(first: Output):
    assert first.status == 0, first.text
    result = first.result
    assert result["copies"] == 0
    assert any("copies made: 0" in line for line in first.lines)
    assert result["gradients"] == GRADIENTS
    assert 1 <= result["longest_queue"] <= 8
    assert result["most_in_flight"] == 3, "as many as workers, and no more"
    assert result["error_left"] < 0.5


def test_shards_are_normalised_by_the_statistics_of_all(first: Output):
    shards = shards_of(first)
    raw = np.concatenate([shards.read("raw", number) for number in range(12)])
    normal = np.concatenate([shards.read("normal", number) for number in range(12)])
    np.testing.assert_allclose(normal, StandardScaler().fit_transform(raw), atol=1e-4)
    alone = StandardScaler().fit_transform(shards.read("raw", 0))
    assert not np.allclose(shards.read("normal", 0), alone, atol=1e-3), "not each by its own"


def test_the_server_is_gone_when_the_run_has_ended(first: Output):
    assert not [actor for actor in ray.util.list_named_actors(all_namespaces=True) if "parameters" in actor["name"]]


def test_a_driver_killed_midway_leaves_a_server_that_the_next_one_finds(ray_cluster: str, first: Output):
    flags = {**SMALL, "cpus_per_worker": 2}  # two workers fit, so the third has pushed nothing when one has ended
    killed = drive_until(
        "payloads.core.prove", ray_cluster, lambda line: "has pushed its gradients" in line, run_name="killed", **flags
    )
    assert killed.status == -signal.SIGKILL, killed.text
    resumed = drive(prove.main, run_name="killed", **flags)
    assert resumed.status == 0, resumed.text
    assert resumed.result["shards_done_before"] == 12
    assert 40 <= resumed.result["gradients_before"] < GRADIENTS
    assert resumed.result["gradients"] == GRADIENTS, "none lost, none counted twice"


def test_a_gradient_that_comes_again_counts_once(ray_cluster: str):
    problem = server.Problem(size=50, workers=1, steps=10, in_flight=2)
    actor = server.find_or_start("repeated", problem, queue=2)
    try:
        assert server.work(actor, problem, 0) == 10
        weights = ray.get(actor.pull.remote())
        assert server.work(actor, problem, 0) == 0, "a worker that is run again pushes nothing again"
        ray.get(actor.push.remote(0, 3, np.ones(50, np.float32)))
        assert ray.get(actor.drain.remote()) == {**ray.get(actor.report.remote()), "applied": 10, "again": 1}
        assert (ray.get(actor.pull.remote()) == weights).all()
        assert ray.get(server.find_or_start("repeated", problem, 2).report.remote())["applied"] == 10, "the same one"
    finally:
        ray.kill(actor)


def test_a_full_queue_holds_pushes_back():
    async def push_all_at_once() -> tuple[dict[str, int], list[float]]:
        held = server.ParameterServer(size=10, queue=2)
        await asyncio.gather(*(held.push(0, step, np.ones(10, np.float32)) for step in range(50)))
        return await held.drain(), (await held.pull()).tolist()

    stats, weights = asyncio.run(push_all_at_once())
    assert stats == {"applied": 50, "longest": 2, "waited": 48, "again": 0}
    assert weights == [-50.0] * 10


@pytest.mark.parametrize(
    ("stats", "left", "words"),
    [
        ({"applied": 9, "longest": 2}, 0.1, "applied 9 gradients of 10"),
        ({"applied": 11, "longest": 2}, 0.1, "applied 11 gradients of 10"),
        ({"applied": 10, "longest": 3}, 0.1, "queue held 3 gradients"),
        ({"applied": 10, "longest": 2}, 1.2, "left 120% of the error"),
        ({"applied": 10, "longest": 2}, float("nan"), "of the error"),
    ],
)
def test_a_proof_that_fails_ends_the_run(stats: dict[str, int], left: float, words: str):
    with pytest.raises(PayloadError, match=words):
        server.check(stats, server.Problem(size=1, workers=2, steps=5, in_flight=1), queue=2, left=left)


def test_a_copy_is_seen_as_one(ray_cluster: str):
    """The same look at an array that this process owns, and at one that the store shares."""
    matrix = np.ones((100_000, 64), np.float32)
    stored = ray.get(ray.put(matrix))
    assert zerocopy.is_shared(stored[500:600])
    assert not zerocopy.is_shared(matrix[500:600])
    assert not zerocopy.is_shared(stored[500:600].copy())
    before = zerocopy.own_memory()
    kept = stored.copy()
    assert zerocopy.own_memory() - before > kept.nbytes * 0.8, "a copy shows as growth"


def test_no_more_tasks_run_than_allowed_and_a_failure_comes_out_as_itself(ray_cluster: str, tmp_path: os.PathLike):
    def note(folder: str, number: int) -> int:
        import time
        from pathlib import Path

        if number == 7:
            raise PayloadError("seven")
        mark = Path(folder) / str(number)
        mark.touch()
        running = len(list(Path(folder).iterdir()))
        time.sleep(0.1)
        mark.unlink()
        return running

    found = list(bounded(note, range(6), (str(tmp_path),), Limits(at_once=2)))
    assert sorted(item for item, _ in found) == list(range(6))
    assert max(running for _, running in found) <= 2
    with pytest.raises(PayloadError, match="seven"):
        list(bounded(note, range(5, 20), (str(tmp_path),), Limits(at_once=2)))
