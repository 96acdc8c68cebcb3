"""The point-in-time join on plain arrays: which event each label may know of.

Times are int64 microseconds since 1970 in UTC, entities are int64 codes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class Events:
    """Rows of one feature view, [n] each. `created` is when a row arrived, which may be long after what it tells of."""

    entity: Ints
    time: Ints
    created: Ints

    def rank(self) -> Ints:
        """Which of two rows counts: the one of the later event, then the one that arrived later, then the later row."""
        order = np.lexsort((np.arange(len(self.time)), self.created, self.time))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank


def as_of(entity: Ints, time: Ints, events: Events, ttl: int | None, *, as_known: bool) -> Ints:
    """For each label (entity, time), [m], the index of the event that it is joined with, or NONE.

    That is the last event of the entity at or before the label, unless it is older than `ttl` microseconds. With
    `as_known` a row that had not arrived by then does not count either: it could not have been served.
    """
    if not len(events.time) or not len(time):
        return np.full(len(time), NONE, np.int64)
    seen_from = np.maximum(events.time, events.created) if as_known else events.time
    # Places in the order of all times instead of the times themselves: an entity and a place fit into one int64.
    times = np.unique(np.concatenate([seen_from, time]))
    event_key = events.entity * len(times) + np.searchsorted(times, seen_from)
    label_key = entity * len(times) + np.searchsorted(times, time)
    order = np.argsort(event_key, kind="stable")
    # Of all that has been seen of an entity by then, the row that counts: entities lie one after the other here, so a
    # running maximum that starts anew with each is one over (entity, rank).
    rank = events.rank()
    count = len(rank)
    best = np.maximum.accumulate(events.entity[order] * count + rank[order])
    last = np.searchsorted(event_key[order], label_key, side="right") - 1
    found_entity, found_rank = np.divmod(best[np.maximum(last, 0)], count)
    by_rank = np.empty(count, np.int64)
    by_rank[rank] = np.arange(count)
    row = by_rank[found_rank]
    good = (last >= 0) & (found_entity == entity)
    if ttl is not None:
        good &= events.time[row] >= time - ttl
    return np.where(good, row, NONE)


def latest(events: Events) -> Ints:
    """The index of the row that counts of each entity, in the order of the entities."""
    rank = events.rank()
    order = np.lexsort((rank, events.entity))
    entity = events.entity[order]
    return order[np.append(entity[1:] != entity[:-1], True)] if len(order) else order
