"""The learner on real Ray and S3: what it has acknowledged outlives it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
import ray

from payloads.serving.bandit import learner
from payloads.serving.bandit.linucb import Update

ARMS, FEATURES = 2, 3


@pytest.fixture
def actor(ray_cluster: str, request: pytest.FixtureRequest) -> Iterator[ray.actor.ActorHandle]:
    found = learner.find_or_start(request.node.name.replace("_", "-"), ARMS, FEATURES)
    yield found
    ray.kill(found)


def update(number: int) -> Update:
    return Update(f"u{number}", number % ARMS, np.array([1.0, number / 100, 0.5]), 1.0)


def process_of_learner() -> int:
    (pid,) = [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any("ray::Learner" in part for part in child.cmdline())
    ]
    return pid


def test_a_learner_that_is_killed_loses_no_acknowledged_update(actor: ray.actor.ActorHandle):
    ray.get([actor.learn.remote(update(number)) for number in range(40)])
    before, policy = ray.get(actor.policy.remote())
    assert before == 40
    os.kill(process_of_learner(), signal.SIGKILL)
    after, again = ray.get(actor.policy.remote(), timeout=120)
    assert after == 40
    np.testing.assert_allclose(again.weights, policy.weights)


def test_updates_on_their_way_when_it_dies_count_once(actor: ray.actor.ActorHandle):
    ray.get(actor.learn.remote(update(0)))
    waiting = [actor.learn.remote(update(number)) for number in range(1, 200)]
    os.kill(process_of_learner(), signal.SIGKILL)
    ray.get(waiting, timeout=120)
    assert ray.get(actor.policy.remote())[0] == 200


def test_the_same_name_is_the_same_learner_and_its_key_stays(
    actor: ray.actor.ActorHandle, request: pytest.FixtureRequest
):
    again = learner.find_or_start(request.node.name.replace("_", "-"), ARMS, FEATURES)
    assert again._actor_id == actor._actor_id
    key = ray.get(actor.key.remote())
    os.kill(process_of_learner(), signal.SIGKILL)
    assert ray.get(actor.key.remote(), timeout=120) == key
    assert len(key) == 32


def test_updates_of_another_learner_of_the_same_bandit_are_read(
    actor: ray.actor.ActorHandle, request: pytest.FixtureRequest
):
    """As during an upgrade, when the old cluster's learner still writes."""
    name = request.node.name.replace("_", "-")
    other = (
        ray.remote(learner.Learner).options(num_cpus=0, max_concurrency=10).remote(f"bandits/{name}", ARMS, FEATURES)
    )
    ray.get(other.learn.remote(update(1)))
    ray.get(actor.learn.remote(update(2)))
    deadline = time.monotonic() + 60
    while ray.get(actor.policy.remote())[0] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    ray.kill(other)
