"""What a diagnosis is made from: objects as the API server returns them, and the last lines of failed containers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from infra.plain import section

Thing = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """`objects` of all kinds together, events among them; `logs` by `namespace/pod/container`, newest lines last.

    `unseen` names what could not be read: nothing can be said of it. `now` is when it was read, in UTC.
    """

    objects: tuple[Thing, ...]
    now: datetime.datetime
    logs: Mapping[str, str] = field(default_factory=dict[str, str])
    unseen: tuple[str, ...] = ()

    def since(self, moment: Any) -> float:
        """Seconds since `moment`, as the API server writes it; 0 where it is none."""
        try:
            then = datetime.datetime.fromisoformat(str(moment))
        except ValueError:
            return 0.0
        return (self.now - then).total_seconds()

    def of(self, kind: str) -> list[Thing]:
        return [each for each in self.objects if each.get("kind") == kind]

    def warnings(self, thing: Thing) -> list[Thing]:
        """Events of the type Warning about `thing` itself: one of the same name that is gone has another uid."""
        return self._warnings.get(_key(section(thing, "metadata"), thing.get("kind")), [])

    @cached_property
    def _warnings(self) -> dict[str, list[Thing]]:
        found: dict[str, list[Thing]] = {}
        for event in self.of("Event"):
            if event.get("type") == "Warning":
                about = section(event, "involvedObject")
                found.setdefault(_key(about, about.get("kind")), []).append(event)
        return found


def name_of(thing: Thing) -> str:
    """`pod ray/digits-head-x`, as people and kubectl write it."""
    metadata = section(thing, "metadata")
    namespace = metadata.get("namespace")
    return f"{str(thing.get('kind', '')).lower()} {f'{namespace}/' if namespace else ''}{metadata.get('name')}"


def _key(identity: Thing, kind: Any) -> str:
    return str(identity.get("uid") or f"{kind} {identity.get('namespace') or ''}/{identity.get('name')}")
