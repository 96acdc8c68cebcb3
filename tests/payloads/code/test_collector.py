"""Requests get their own predictions back, however they are grouped."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from payloads.serving.collector import Collector
from payloads.serving.model import Predictions


class Recorder:
    """Stands for the batched call: 'predicts' a row's first number and notes the sizes of the groups it got."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def __call__(self, rows: np.ndarray) -> Predictions:
        self.sizes.append(len(rows))
        await asyncio.sleep(0)
        return Predictions([int(row[0]) for row in rows], [0.5] * len(rows))


def rows(*firsts: int) -> np.ndarray:
    return np.array([[first] * 4 for first in firsts], np.float32)


def test_requests_of_one_turn_share_a_group_and_get_their_own_rows():
    recorder = Recorder()

    async def go() -> list[Predictions]:
        collector = Collector(recorder, max_rows=64)
        return await asyncio.gather(collector.submit(rows(1)), collector.submit(rows(2, 3)), collector.submit(rows(4)))

    assert [answer.classes for answer in asyncio.run(go())] == [[1], [2, 3], [4]]
    assert recorder.sizes == [4]


def test_no_group_is_larger_than_the_batch():
    recorder = Recorder()

    async def go() -> list[Predictions]:
        collector = Collector(recorder, max_rows=3)
        return await asyncio.gather(*(collector.submit(rows(first, first)) for first in range(5)))

    assert [answer.classes for answer in asyncio.run(go())] == [[first, first] for first in range(5)]
    assert max(recorder.sizes) <= 3


def test_a_request_of_more_rows_than_a_batch_is_answered_in_order():
    recorder = Recorder()
    answer = asyncio.run(Collector(recorder, max_rows=4).submit(rows(*range(11))))
    assert answer.classes == list(range(11))
    assert len(answer.confidences) == 11
    assert sorted(recorder.sizes) == [3, 4, 4]


def test_a_failed_batch_fails_its_requests_and_not_the_next():
    calls = 0

    async def sometimes(batch: np.ndarray) -> Predictions:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("no memory")
        return Predictions([0] * len(batch), [1.0] * len(batch))

    async def go() -> None:
        collector = Collector(sometimes, max_rows=8)
        with pytest.raises(RuntimeError, match="no memory"):
            await collector.submit(rows(1))
        assert (await collector.submit(rows(1))).classes == [0]

    asyncio.run(go())


def test_a_client_that_goes_away_takes_nobody_with_it():
    async def go() -> list[int]:
        collector = Collector(Recorder(), max_rows=8)
        leaving = asyncio.ensure_future(collector.submit(rows(1)))
        staying = asyncio.ensure_future(collector.submit(rows(2)))
        await asyncio.sleep(0)
        leaving.cancel()
        return (await staying).classes

    assert asyncio.run(go()) == [2]
