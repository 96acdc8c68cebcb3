"""The point-in-time join against one that looks at every event for every label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payloads.store.join import NONE, Events, as_of, latest

# Few entities and few moments, so that ties, expiry to the microsecond and late rows are the rule.
entities, times = st.integers(0, 2), st.integers(0, 8)
events = st.lists(st.tuples(entities, times, st.integers(0, 12)), max_size=14)
labels = st.lists(st.tuples(entities, times), max_size=8)
ttls = st.one_of(st.none(), st.integers(0, 6))


def columns(rows: list[tuple[int, ...]], count: int) -> list[np.ndarray]:
    return [np.array([row[index] for row in rows], np.int64) for index in range(count)]


def by_hand(label: tuple[int, int], rows: list[tuple[int, int, int]], ttl: int | None, as_known: bool) -> int:
    entity, now = label
    seen = [
        (time, created, index)
        for index, (of, time, created) in enumerate(rows)
        if of == entity and time <= now and not (as_known and created > now)
    ]
    if not seen or (ttl is not None and max(seen)[0] < now - ttl):
        return NONE
    return max(seen)[2]


@settings(max_examples=300, deadline=None)
@given(events=events, labels=labels, ttl=ttls, as_known=st.booleans())
def test_a_label_is_joined_with_what_a_search_by_hand_finds(
    events: list[tuple[int, int, int]], labels: list[tuple[int, int]], ttl: int | None, as_known: bool
):
    found = as_of(*columns(labels, 2), Events(*columns(events, 3)), ttl, as_known=as_known)
    assert found.tolist() == [by_hand(label, events, ttl, as_known) for label in labels]


@settings(max_examples=100, deadline=None)
@given(events=events, future=events, labels=labels, ttl=ttls, as_known=st.booleans())
def test_what_happens_after_a_label_changes_nothing_for_it(
    events: list[tuple[int, int, int]],
    future: list[tuple[int, int, int]],
    labels: list[tuple[int, int]],
    ttl: int | None,
    as_known: bool,
):
    last = max((time for _, time in labels), default=0)
    later = [(entity, last + 1 + time, created) for entity, time, created in future]
    before = as_of(*columns(labels, 2), Events(*columns(events, 3)), ttl, as_known=as_known)
    after = as_of(*columns(labels, 2), Events(*columns(events + later, 3)), ttl, as_known=as_known)
    assert after.tolist() == before.tolist()


@settings(max_examples=100, deadline=None)
@given(events=events)
def test_the_latest_rows_are_those_that_a_label_after_all_of_them_gets(events: list[tuple[int, int, int]]):
    entity, time, created = columns(events, 3)
    rows = latest(Events(entity, time, created))
    assert entity[rows].tolist() == sorted(set(entity.tolist()))
    end = np.full(len(rows), 100, np.int64)
    assert as_of(entity[rows], end, Events(entity, time, created), None, as_known=True).tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("rows", "now", "ttl", "as_known", "wanted"),
    [
        ([(0, 5, 5)], 5, None, True, 0),
        ([(0, 6, 6)], 5, None, False, NONE),
        ([(0, 2, 2)], 5, 3, True, 0),
        ([(0, 1, 1)], 5, 3, True, NONE),
        ([(0, 3, 9), (0, 2, 2)], 5, None, True, 1),
        ([(0, 3, 9), (0, 2, 2)], 5, None, False, 0),
        ([(0, 3, 5), (0, 3, 4)], 5, None, True, 0),
        ([(0, 3, 9), (0, 1, 1)], 9, 7, True, 0),
    ],
    ids=[
        "an event at the time of the label counts",
        "one after it does not",
        "one as old as the ttl counts",
        "an older one does not",
        "one that has not arrived does not",
        "unless it is asked for",
        "of two at a time the one that arrived last",
        "a late one counts once it is there",
    ],
)
def test_the_rules_one_by_one(rows: list[tuple[int, int, int]], now: int, ttl: int | None, as_known: bool, wanted: int):
    found = as_of(np.array([0]), np.array([now]), Events(*columns(rows, 3)), ttl, as_known=as_known)
    assert found.tolist() == [wanted]
