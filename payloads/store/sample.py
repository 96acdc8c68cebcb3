"""Made events of a shop, a file for each day on which rows arrived, for machines that have no data yet.

They come as such data does: one row in twenty arrives up to a day late, one in fifty is corrected later under the same
time of event. Purchases (`labels`) are likelier the more a user has just spent, so that the features tell something.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from payloads.common.storage import Storage
from payloads.store.definitions import ARRIVED, EVENT_TIME
from payloads.store.files import MICROSECONDS
from payloads.store.offline import LABEL_TIME

DAY_US = 86_400_000_000
LATE_SHARE, CORRECTED_SHARE = 0.05, 0.02
LABELS = "labels"


@dataclass(frozen=True)
class Shop:
    """How many of each there are."""

    users: int

    @property
    def items(self) -> int:
        return max(1, self.users // 2)


def ensure(storage: Storage, folder: str, shop: Shop, days: int, last: date) -> int:
    """Write what arrived in the `days` up to `last`, file by file, unless it is there; returns how many were written.

    A file holds the same whenever it is written, so that a later run only adds the days that have passed.
    """
    written = 0
    for ago in reversed(range(days)):
        day = last - timedelta(days=ago)
        for name in ("user_activity", "item_popularity", "user_profile", LABELS):
            path = f"{folder}/{name}/arrived-{day.isoformat()}.parquet"
            if not storage.exists(path):
                buffer = io.BytesIO()
                pq.write_table(arrivals(shop, name, day), buffer)
                storage.write(path, buffer.getvalue())
                written += 1
    return written


def arrivals(shop: Shop, name: str, day: date) -> pa.Table:
    """Rows of `name` that arrived on `day`: of its own events, and what is late of the day before."""
    if name == LABELS:
        return _labels(shop, day)
    start = _micros(day)
    both = pa.concat_tables([_events(shop, name, day - timedelta(days=1)), _events(shop, name, day)])
    arrived = both[ARRIVED].cast(pa.int64()).to_numpy()
    return both.filter(pa.array((arrived >= start) & (arrived < start + DAY_US)))


def _events(shop: Shop, name: str, day: date) -> pa.Table:
    random = np.random.default_rng([17, len(name), ord(name[-1]), day.toordinal()])
    count = shop.items if name == "item_popularity" else shop.users
    if name == "user_profile":  # sent once a week
        key = np.flatnonzero(np.arange(count) % 7 == day.toordinal() % 7)
    else:
        key = np.flatnonzero(random.random(count) < 0.7)
    size = len(key)
    time = _micros(day) + random.integers(0, DAY_US, size)
    arrived = time + random.integers(0, 60_000_000, size)
    late = random.random(size) < LATE_SHARE
    arrived[late] += random.integers(0, DAY_US - 60_000_000, late.sum())
    corrected = np.flatnonzero(random.random(size) < CORRECTED_SHARE)
    rows = np.concatenate([np.arange(size), corrected])
    again = np.arange(len(rows)) >= size
    arrived = arrived[rows] + again * 1_000_000
    features: dict[str, np.ndarray | pa.Array]
    if name == "user_activity":
        features = {
            "user_id": key[rows],
            "sessions": random.poisson(3.0, size)[rows] + again,
            "minutes": random.gamma(2.0, 20.0, size)[rows],
            "spend": random.gamma(1.5, 20.0, size)[rows],
        }
    elif name == "item_popularity":
        views = random.poisson(40.0, size)
        features = {"item_id": key[rows], "views": views[rows] + again, "purchases": random.binomial(views, 0.1)[rows]}
    else:
        plans = np.array(["free", "plus", "team"])[random.integers(0, 3, size)]
        features = {
            "user_id": key[rows],
            "age": random.integers(16, 90, size)[rows] + again,
            "plan": pa.array(plans[rows], pa.string()),
        }
    times = {EVENT_TIME: time[rows], ARRIVED: arrived}
    return pa.table({**features, **{column: pa.array(values, MICROSECONDS) for column, values in times.items()}})


def _labels(shop: Shop, day: date) -> pa.Table:
    random = np.random.default_rng([19, day.toordinal()])
    user = random.integers(0, shop.users, shop.users)
    time = np.sort(_micros(day) + random.integers(0, DAY_US, len(user)))
    activity = _events(shop, "user_activity", day - timedelta(days=1))
    spent = np.zeros(shop.users)
    spent[activity["user_id"].to_numpy()] = activity["spend"].to_numpy()
    chance = 1 / (1 + np.exp(2 - spent[user] / 20))
    return pa.table(
        {
            "user_id": user,
            "item_id": random.integers(0, shop.items, len(user)),
            LABEL_TIME: pa.array(time, MICROSECONDS),
            "bought": random.random(len(user)) < chance,
        }
    )


def _micros(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
