"""The latest features of some entities, in time or not at all: what is missing, late or too old has its default."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feast import FeatureStore
from feast.errors import FeastObjectNotFoundException
from feast.type_map import feast_value_type_to_python_type
from redis.exceptions import RedisError

from payloads.common.errors import PayloadError

logger = logging.getLogger("ray.serve")
FOUND, MISSING, EXPIRED, LATE, FAILED, PAUSED = "found", "missing", "expired", "late", "failed", "paused"
# So many failures in a row, and Redis is left alone for so long: waiting for it would cost every request the timeout.
FAILURES, PAUSE_S = 5, 1.0
Count = Callable[[str, str, int], None]


@dataclass(frozen=True)
class ServedView:
    """A view as a feature service wants it: `defaults` has a value for each feature."""

    name: str
    ttl_s: float | None
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a feature service consists of."""

    keys: tuple[str, ...]
    views: tuple[ServedView, ...]
    refs: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """Of one entity: all features of the service, and why those of a view are its defaults, if they are."""

    values: dict[str, Any]
    defaults: dict[str, str]


def plan(store: FeatureStore, service: str) -> Plan:
    """The plan of `service` by the registry as it is in memory; raises PayloadError where it cannot be served."""
    try:
        found = store.get_feature_service(service, allow_cache=True)
    except FeastObjectNotFoundException:
        raise PayloadError(
            f"feature service {service} is not registered in project {store.project}: run payloads.store.materialize"
        ) from None
    keys: dict[str, None] = {}
    views = []
    for projection in found.feature_view_projections:
        view = store.registry.get_feature_view(projection.name, store.project, allow_cache=True)
        keys |= dict.fromkeys(view.join_keys)
        defaults = {}
        for field in projection.features:
            if "default" not in field.tags:
                raise PayloadError(f"feature {view.name}:{field.name} has no tag `default`: say what to serve instead")
            defaults[field.name] = json.loads(field.tags["default"])
        views.append(ServedView(view.name, view.ttl.total_seconds() if view.ttl else None, defaults))
    refs = tuple(f"{view.name}:{name}" for view in views for name in view.defaults)
    return Plan(tuple(keys), tuple(views), refs)


class OnlineFeatures:
    """Reads one feature service. `count(view, outcome, entities)` is called for each view of each reading; `clock`
    gives the seconds since 1970 against which the age of a feature is measured."""

    def __init__(
        self,
        store: FeatureStore,
        service: str,
        timeout_s: float,
        count: Count,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.service = service
        self.timeout_s = timeout_s
        self.count = count
        self.clock = clock
        self.plan = plan(store, service)
        # Asked for here, Feast loads the modules of the online store now and not in the first request.
        if not store.provider.async_supported.online.read:
            raise PayloadError(f"the online store of {store.project} can only be read by blocking: use Redis")
        self.failures = 0
        self.paused_until = 0.0

    def refresh(self) -> None:
        """Read the registry anew: blocks, so not in the event loop."""
        self.store.refresh_registry()
        self.plan = plan(self.store, self.service)

    async def read(self, entities: Sequence[Mapping[str, int]]) -> list[Features]:
        """Features of each of `entities`, which have all keys of the plan; within the timeout, come what may."""
        now = self.plan
        if time.monotonic() < self.paused_until:
            return self._without(now, len(entities), PAUSED)
        try:
            async with asyncio.timeout(self.timeout_s):
                response = await self.store.get_online_features_async(
                    features=list(now.refs), entity_rows=[dict(entity) for entity in entities]
                )
        except (TimeoutError, RedisError, OSError) as error:
            self.failures += 1
            if self.failures >= FAILURES:
                self.paused_until = time.monotonic() + PAUSE_S
            logger.warning("features of %s: Redis: %r", self.service, error)
            late = isinstance(error, TimeoutError)
            return self._without(now, len(entities), LATE if late else FAILED)
        self.failures, at = 0, self.clock()
        return self._counted(now, [_features(now, response.proto, row, at) for row in range(len(entities))])

    def _without(self, now: Plan, entities: int, reason: str) -> list[Features]:
        values = {name: value for view in now.views for name, value in view.defaults.items()}
        reasons = {view.name: reason for view in now.views}
        return self._counted(now, [Features(dict(values), dict(reasons)) for _ in range(entities)])

    def _counted(self, now: Plan, found: list[Features]) -> list[Features]:
        for view in now.views:
            outcomes = [features.defaults.get(view.name, FOUND) for features in found]
            for outcome in set(outcomes):
                self.count(view.name, outcome, outcomes.count(outcome))
        return found


def _features(now: Plan, proto: Any, row: int, at: float) -> Features:
    column = {name: index for index, name in enumerate(proto.metadata.feature_names.val)}
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for view in now.views:
        found = {name: proto.results[column[name]] for name in view.defaults}
        event = max(_seconds(result.event_timestamps[row]) for result in found.values())
        here = {name: feast_value_type_to_python_type(result.values[row]) for name, result in found.items()}
        # Feast answers with a value however old it is.
        expired = event and view.ttl_s is not None and at - event > view.ttl_s
        if expired or any(value is None for value in here.values()):
            reasons[view.name] = EXPIRED if expired else MISSING
        for name, value in here.items():
            values[name] = view.defaults[name] if expired or value is None else value
    return Features(values, reasons)


def _seconds(timestamp: Any) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9
