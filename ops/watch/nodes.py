"""The nodes that a run's pods are on, and their list prices. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.plain import section
from ops import moments
from ops.prices.table import Table

_TYPE, _CAPACITY = "node.kubernetes.io/instance-type", "karpenter.sh/capacity-type"


@dataclass(frozen=True)
class Node:
    """`hourly` is the on-demand list price of the whole node in USD, None where the table has none: never guessed.

    `seconds` is how long the run has been on it.
    """

    name: str
    kind: str
    capacity: str
    hourly: float | None
    seconds: float
    pods: int

    @property
    def spent(self) -> float | None:
        return None if self.hourly is None else self.hourly * self.seconds / 3600


def under(
    pods: Iterable[Mapping[str, Any]], nodes: Iterable[Mapping[str, Any]], prices: Table, now: datetime.datetime
) -> list[Node]:
    """The nodes under `pods`, each since the first of the pods came to it."""
    labels = {str(node["metadata"]["name"]): section(node, "metadata", "labels") for node in nodes}
    since: dict[str, list[datetime.datetime]] = {}
    for pod in pods:
        name, start = section(pod, "spec").get("nodeName"), moments.parse(section(pod, "status").get("startTime"))
        if name and start:
            since.setdefault(str(name), []).append(start)
    found: list[Node] = []
    for name, starts in sorted(since.items()):
        carried = labels.get(name, {})
        kind = str(carried.get(_TYPE, ""))
        price = prices.types.get(kind)
        found.append(
            Node(
                name, kind or "unknown type", str(carried.get(_CAPACITY, "")), price.hourly if price else None,
                (now - min(starts)).total_seconds(), len(starts),
            )
        )  # fmt: skip
    return found


def spent(nodes: Iterable[Node]) -> str:
    """What the nodes that have a price have cost, and how many have none."""
    listed = list(nodes)
    known = [node.spent for node in listed if node.spent is not None]
    unknown = len(listed) - len(known)
    said = f"at most {sum(known):.2f} USD at on-demand prices" if known else "no price known"
    return said + (f", {unknown} of {len(listed)} nodes without a price" if unknown and known else "")
