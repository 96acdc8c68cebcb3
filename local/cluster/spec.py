"""What the supervisor is to run: plain data that `up` writes and the supervisor reads. Standard library only, because
the supervisor stays resident and every import costs it memory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Component:
    """One process that is kept alive.

    `after` lists sockets (`tcp:HOST:PORT` or `unix:PATH`, as seen on the node) that must accept connections before a
    start. `stop_stage` orders the shutdown: the lowest first; components of one stage stop together and have
    `stop_seconds` before they are killed.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    after: tuple[str, ...] = ()
    stop_stage: int = 0
    stop_seconds: float = 1.0
    reload_signal: int = 0


@dataclass(frozen=True)
class Addition:
    """What a node gets beyond Kubernetes.

    `components` start after Kubernetes' own and stop before them, `readable` are (path on the host, path on the node),
    and `apiserver` are further flags of the API server.
    """

    components: tuple[Component, ...] = ()
    readable: tuple[tuple[str, str], ...] = ()
    apiserver: tuple[str, ...] = ()

    def kubernetes(self, components: tuple[Component, ...]) -> tuple[Component, ...]:
        """Kubernetes' own `components` with these flags, then ours."""
        flagged = (
            replace(component, argv=(*component.argv, *self.apiserver)) if component.name == "apiserver" else component
            for component in components
        )
        return (*flagged, *self.components)


NOTHING = Addition()


@dataclass(frozen=True)
class NodeSpec:
    """A node: its namespaces' names, what is visible in them, and its components in the order of their start."""

    instance: str
    node_name: str
    root: str
    logs: str
    status: str
    cgroup: str
    address: str
    service_network: str
    writable: tuple[tuple[str, str], ...]
    readable: tuple[tuple[str, str], ...]
    components: tuple[Component, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> NodeSpec:
        data: dict[str, Any] = json.loads(text)
        components = tuple(_component(item) for item in data.pop("components"))
        writable = tuple((source, target) for source, target in data.pop("writable"))
        readable = tuple((source, target) for source, target in data.pop("readable"))
        return NodeSpec(**data, writable=writable, readable=readable, components=components)

    @staticmethod
    def read(path: Path) -> NodeSpec:
        return NodeSpec.from_json(path.read_text())


def _component(item: dict[str, Any]) -> Component:
    fields: dict[str, Any] = {**item, "argv": tuple(item["argv"]), "after": tuple(item["after"])}
    return Component(**fields)
