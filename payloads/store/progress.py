"""How far each view has been materialised, noted in Redis beside the values.

Feast notes it in its registry, which knows nothing of a Redis that has lost its values or has been replaced by another.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

import redis
from feast import FeatureView

from payloads.store.settings import Redis


def client(where: Redis, timeout_s: float) -> redis.Redis:
    host, _, port = where.address.partition(":")
    password = where.password.get_secret_value() if where.password else None
    return redis.Redis(host, int(port), password=password, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


class Progress:
    """One hash for a project; a view whose fields have changed counts as one that was never materialised."""

    def __init__(self, server: redis.Redis, project: str) -> None:
        self.server = server
        self.key = f"manta:materialised:{project}"

    def reached(self, view: FeatureView) -> datetime | None:
        found = self.server.hget(self.key, view.name)
        if found is None:
            return None
        noted = json.loads(found)
        return datetime.fromisoformat(noted["until"]) if noted["fields"] == _fields(view) else None

    def note(self, view: FeatureView, until: datetime) -> None:
        self.server.hset(self.key, view.name, json.dumps({"until": until.isoformat(), "fields": _fields(view)}))


def window(view: FeatureView, reached: datetime | None, until: datetime, lateness: timedelta) -> datetime | None:
    """From when on the events of `view` are to be read so that serving knows all up to `until`.

    None: it does. Rows that arrived late lie before what was reached, hence the way back; what is older than the
    view's ttl is of no use to anyone.
    """
    if reached is not None and reached >= until:
        return None
    oldest = until - view.ttl
    return oldest if reached is None else max(oldest, reached - lateness)


def _fields(view: FeatureView) -> str:
    fields = sorted((field.name, str(field.dtype)) for field in view.features)
    return hashlib.sha256(json.dumps([sorted(view.join_keys), fields]).encode()).hexdigest()[:16]
