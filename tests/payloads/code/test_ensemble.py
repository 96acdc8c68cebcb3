"""How several models' answers are joined, how late ones are left out, and what a challenger in the shadow costs."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import numpy as np
import pytest
from pydantic import ValidationError

from payloads.serving.combine import combine, sure
from payloads.serving.ensemble import EnsembleArgs
from payloads.serving.gather import gather
from payloads.serving.http import JsonApi, RefusedError, Route
from payloads.serving.shadow import Shadow

EQUAL = {"a": 1.0, "b": 1.0, "c": 1.0}


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.mark.parametrize(
    ("how", "weights", "label", "confidence"),
    [
        # a and b prefer class 0 by a little, c prefers class 1 by a lot.
        ("vote", EQUAL, 0, 2 / 3),
        ("average", EQUAL, 1, (0.4 + 0.4 + 0.98) / 3),
        ("vote", {**EQUAL, "c": 3.0}, 1, 3 / 5),
        ("average", {"a": 9.0, "b": 9.0, "c": 0.1}, 0, None),
    ],
)
def test_a_vote_counts_heads_and_an_average_counts_certainty(
    how: str, weights: dict[str, float], label: int, confidence: float | None
):
    found = combine({"a": row(0.6, 0.4), "b": row(0.6, 0.4), "c": row(0.02, 0.98)}, weights, how)  # type: ignore[arg-type]
    assert found.classes == [label]
    if confidence is not None:
        assert found.confidences == pytest.approx([confidence], abs=1e-6)


def test_equal_votes_go_to_what_is_more_probable():
    answers = {"a": row(0.55, 0.45, 0.0), "b": row(0.1, 0.2, 0.7)}
    assert combine(answers, {"a": 1.0, "b": 1.0}, "vote").classes == [2]


def test_one_member_alone_is_what_it_says():
    found = combine({"b": row(0.3, 0.7)}, EQUAL, "average")
    assert (found.classes, found.confidences) == ([1], pytest.approx([0.7]))


def test_each_row_is_joined_with_its_own():
    one, other = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    assert combine({"a": one, "b": other}, EQUAL, "average").classes == [0, 1, 2]


def test_a_cascade_asks_on_unless_every_row_is_sure():
    assert sure(np.array([[0.95, 0.05], [0.1, 0.9]]), 0.9)
    assert not sure(np.array([[0.95, 0.05], [0.2, 0.8]]), 0.9)


async def after(seconds: float, value: str) -> str:
    await asyncio.sleep(seconds)
    return value


async def broken() -> str:
    raise RuntimeError("no")


def test_late_and_failed_calls_are_left_out_and_named():
    started = time.monotonic()
    found = asyncio.run(gather({"a": after(0, "one"), "b": after(30, "two"), "c": broken()}, deadline_s=0.2))
    assert time.monotonic() - started < 5
    assert found.answers == {"a": "one"}
    assert found.missing == {"b": "late", "c": "failed"}


def test_nothing_is_waited_for_once_all_have_answered():
    started = time.monotonic()
    found = asyncio.run(gather({"a": after(0, "one"), "b": after(0.01, "two")}, deadline_s=30))
    assert time.monotonic() - started < 5
    assert found.answers == {"a": "one", "b": "two"}


def test_calls_of_a_client_that_went_away_are_cancelled():
    ended: list[str] = []

    async def slow() -> str:
        try:
            return await after(30, "never")
        finally:
            ended.append("cancelled")

    async def go() -> None:
        task = asyncio.create_task(gather({"a": slow()}, deadline_s=30))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(go())
    assert ended == ["cancelled"]


def shadowed(ask, requests: int, at_once: int = 2) -> dict[str, int]:
    """A shadow's report after `requests` requests of two rows, both answered with class 1."""

    async def go() -> dict[str, int]:
        shadow = Shadow(ask, at_once, deadline_s=0.3)
        for number in range(requests):
            shadow.show(np.zeros((2, 64), np.float32), [1, 1], f"r{number}")
            await asyncio.sleep(0.01)
        await asyncio.gather(*shadow.tasks)
        return shadow.report()

    return asyncio.run(go())


def test_a_challenger_is_compared_row_by_row():
    async def half_right(rows: np.ndarray) -> np.ndarray:
        return np.array([[0.1, 0.9], [0.8, 0.2]])

    assert shadowed(half_right, requests=5) == {"rows": 10, "same": 5, "skipped": 0, "failed": 0}


def test_a_challenger_that_hangs_is_asked_no_more_than_it_may():
    async def hangs(rows: np.ndarray) -> np.ndarray:
        await asyncio.sleep(30)
        return rows

    assert shadowed(hangs, requests=6) == {"rows": 0, "same": 0, "skipped": 4, "failed": 2}


def test_a_challenger_that_fails_is_counted_and_nothing_else():
    async def fails(rows: np.ndarray) -> np.ndarray:
        raise RuntimeError("no")

    assert shadowed(fails, requests=3)["failed"] == 3


MEMBER = {"model_name": "digits"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": [{"name": "a", **MEMBER}]}, "at least 2"),
        ({"members": [{"name": "a", **MEMBER}] * 2}, "two members have one name"),
        ({"shadow": {"name": "a", **MEMBER}}, "two members have one name"),
        ({"least_members": 3}, "more than there are members"),
        ({"combine": "median"}, "average"),
        ({"deadline": 1}, "Extra inputs"),
    ],
)
def test_arguments_that_contradict_themselves_are_refused(change: dict, words: str):
    good = {"members": [{"name": "a", **MEMBER}, {"name": "b", **MEMBER}]}
    EnsembleArgs.model_validate(good)
    with pytest.raises(ValidationError, match=words):
        EnsembleArgs.model_validate({**good, **change})


def ask(answer, deadline_s: float | None) -> httpx.Response:
    async def go() -> httpx.Response:
        route = Route("/x", "x", lambda body: body, answer, {}, dict, deadline_s)
        api = JsonApi([route], max_body_bytes=1024)
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/x", json={})

    return asyncio.run(go())


def test_an_answer_that_takes_too_long_is_a_504_in_the_common_form():
    async def slow(_body: bytes, _request_id: str) -> bytes:
        return (await after(30, "never")).encode()

    answer = ask(slow, deadline_s=0.1)
    assert answer.status_code == 504
    assert answer.json()["error"] == "there was no answer within 0.1 s"


@pytest.mark.parametrize("deadline_s", [None, 5.0])
def test_a_time_out_of_the_answers_own_is_a_defect(deadline_s: float | None):
    async def times_out(_body: bytes, _request_id: str) -> bytes:
        raise TimeoutError

    assert ask(times_out, deadline_s).status_code == 500


def test_a_refusal_of_the_answer_keeps_its_status():
    async def refuses(_body: bytes, _request_id: str) -> bytes:
        raise RefusedError(503, "too few members")

    answer = ask(refuses, deadline_s=5)
    assert (answer.status_code, json.loads(answer.text)["error"]) == (503, "too few members")
