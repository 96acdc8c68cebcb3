"""What the bandit learns, what it regrets, and what is left of it when it dies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.fs
import pytest

from payloads.common.storage import Storage
from payloads.serving.bandit import token
from payloads.serving.bandit.app import parse_choose, parse_feedback
from payloads.serving.bandit.journal import Journal
from payloads.serving.bandit.linucb import LinUcb, Update
from payloads.serving.http import RefusedError

ARMS, FEATURES = 3, 4


def world(steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Contexts, and each arm's expected reward in each of them: which arm is best depends on the context."""
    random = np.random.default_rng(seed)
    contexts = random.normal(0, 1, (steps, FEATURES))
    contexts[:, 0] = 1
    weights = np.random.default_rng(99).normal(0, 0.15, (ARMS, FEATURES))
    return contexts, np.clip(0.5 + contexts @ weights.T, 0, 1)


def play(model: LinUcb, contexts: np.ndarray, rewards: np.ndarray, explore: float = 0.5) -> np.ndarray:
    """Regret of each step, the model learning after each from a reward of 0 or 1."""
    random = np.random.default_rng(5)
    regrets = []
    for step, (context, expected) in enumerate(zip(contexts, rewards, strict=True)):
        arm = model.policy().choose(context, explore)
        reward = float(random.random() < expected[arm])
        model.add(Update(str(step), arm, context, reward))
        regrets.append(expected.max() - expected[arm])
    return np.array(regrets)


def test_it_regrets_less_than_the_best_fixed_arm_and_less_and_less():
    contexts, rewards = world(3000)
    regrets = play(LinUcb(ARMS, FEATURES), contexts, rewards)
    fixed = (rewards.max(axis=1)[:, None] - rewards).sum(axis=0).min()
    assert regrets.sum() < 0.5 * fixed
    assert regrets[-1000:].mean() < 0.5 * regrets[:300].mean()


def test_without_exploration_it_may_never_find_the_better_arm():
    """The test of the test: a bandit that only exploits has no such guarantee, and here it pays for it."""
    contexts, rewards = world(3000)
    greedy = play(LinUcb(ARMS, FEATURES), contexts, rewards, explore=0.0).sum()
    assert play(LinUcb(ARMS, FEATURES), contexts, rewards, explore=0.5).sum() < greedy


def updates(count: int, seed: int = 0) -> list[Update]:
    random = np.random.default_rng(seed)
    return [
        Update(f"{seed}-{number}", int(random.integers(ARMS)), random.normal(0, 1, FEATURES), float(random.random()))
        for number in range(count)
    ]


def test_the_order_of_updates_does_not_matter():
    one, other = LinUcb(ARMS, FEATURES), LinUcb(ARMS, FEATURES)
    for update in updates(50):
        one.add(update)
    for update in reversed(updates(50)):
        other.add(update)
    np.testing.assert_allclose(one.precision, other.precision)
    np.testing.assert_allclose(one.moment, other.moment)
    assert (LinUcb.from_bytes(one.to_bytes()).moment == one.moment).all()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    (tmp_path / "b" / "segments").mkdir(parents=True)
    return Storage(pyarrow.fs.LocalFileSystem(), str(tmp_path))  # type: ignore[arg-type]


def journal(storage: Storage) -> Journal:
    found = Journal(storage, "b", LinUcb(ARMS, FEATURES))
    found.recover()
    return found


def same(one: Journal, other: Journal) -> bool:
    return np.allclose(one.model.moment, other.model.moment) and one.model.updates == other.model.updates


def test_what_was_appended_is_there_after_a_death(storage: Storage):
    first = journal(storage)
    for start in range(0, 60, 10):
        first.append(updates(60)[start : start + 10])
    assert same(journal(storage), first)


def test_a_snapshot_and_what_came_after_it_are_the_whole(storage: Storage):
    first = journal(storage)
    first.append(updates(30))
    first.snapshot()
    first.append(updates(10, seed=1))
    found = journal(storage)
    assert same(found, first)
    assert found.model.updates == 40


def test_an_update_that_comes_again_counts_once_also_after_a_death(storage: Storage):
    first = journal(storage)
    first.append(updates(5))
    first.append(updates(8))
    assert first.model.updates == 8
    second = journal(storage)
    second.append(updates(8))
    assert second.model.updates == 8


def test_two_writers_end_with_the_same_model(storage: Storage):
    """An old Ray cluster and its successor, both alive during an upgrade."""
    old, new = journal(storage), journal(storage)
    old.append(updates(20, seed=1))
    new.append(updates(20, seed=2))
    old.snapshot()
    new.snapshot()
    assert old.catch_up() == new.catch_up() == 20
    assert same(old, new)
    assert same(journal(storage), old), "the snapshot that was written last lacks nothing that the segments have"


KEY = b"k" * 32


def test_a_decision_comes_back_as_it_was_given():
    context = np.array([1.0, -0.25, 3e-7, 4.0])
    name, arm, found = token.unseal(KEY, token.seal(KEY, 2, context))
    assert (arm, found.tolist()) == (2, context.tolist())
    other, _, _ = token.unseal(KEY, token.seal(KEY, 2, context))
    assert other != name, "two decisions in one context are two"


GIVEN = token.seal(KEY, 1, np.ones(4))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (KEY, GIVEN[:-4]),
        (KEY, ("B" if GIVEN[0] == "A" else "A") + GIVEN[1:]),
        (KEY, "ü"),
        (KEY, ""),
        (b"x" * 32, GIVEN),
    ],
    ids=["cut off", "changed", "not base64", "empty", "another bandit's"],
)
def test_a_decision_that_was_not_given_is_refused(key: bytes, text: str):
    with pytest.raises(RefusedError, match="was not given by this bandit"):
        token.unseal(key, text)


@pytest.mark.parametrize(
    ("parse", "body", "status"),
    [
        (lambda body: parse_choose(body, 2), {"context": [1.0]}, 422),
        (lambda body: parse_choose(body, 2), {"context": [1.0, "2"]}, 422),
        (lambda body: parse_choose(body, 2), {"context": [1.0, 1e9]}, 422),
        (lambda body: parse_choose(body, 2), {}, 422),
        (parse_feedback, {"decision": "x", "reward": 1.5}, 422),
        (parse_feedback, {"decision": "x", "reward": True}, 422),
        (parse_feedback, {"reward": 0.5}, 422),
        (parse_feedback, None, 400),
    ],
)
def test_a_request_of_another_form_is_refused(parse, body: dict | None, status: int):
    with pytest.raises(RefusedError) as refused:
        parse(b"{" if body is None else json.dumps(body).encode())
    assert refused.value.status == status


def test_whole_numbers_are_numbers():
    assert parse_choose(b'{"context": [1, 2]}', 2).tolist() == [1.0, 2.0]
    assert parse_feedback(b'{"decision": "x", "reward": 1}').reward == 1
