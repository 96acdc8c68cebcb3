"""Read from the cluster what a diagnosis is made from, all at once: it has seconds."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from infra.plain import entries, section
from ops.cluster import Cluster, ForbiddenError
from ops.diagnose.evidence import Evidence, Thing

_NAMESPACED = (
    "pods", "events", "jobs", "replicasets", "statefulsets", "persistentvolumeclaims", "rayjobs", "rayservices",
    "rayclusters",
)  # fmt: skip
_WHOLE_CLUSTER = ("nodeclaims", "nodepools", "ec2nodeclasses")
_MOST_LOGS, _LINES = 20, 120


def gather(cluster: Cluster, namespaces: Iterable[str], about: str = "") -> Evidence:
    """Evidence of `namespaces`, and of `about` alone if it is given: a stack, a run, an endpoint or a pod."""
    asked = [(plural, namespace) for namespace in namespaces for plural in _NAMESPACED]
    asked += [(plural, "") for plural in _WHOLE_CLUSTER]
    # Karpenter's events lie in `default`, as those of all that has no namespace.
    asked.append(("events", "default"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(partial(_listed, cluster), asked))
        objects = [each for answer in answers for each in answer or ()]
        unseen = tuple(
            f"{plural} of {place or 'the cluster'}"
            for (plural, place), got in zip(asked, answers, strict=True)
            if got is None
        )
        kept = [each for each in objects if not about or _belongs(each, about)]
        wanted = list(_failed_containers(kept))[:_MOST_LOGS]
        texts = list(pool.map(partial(_log, cluster), wanted))
        logs = {"/".join(key): text for key, text in zip(wanted, texts, strict=True) if text}
    return Evidence(tuple(kept), datetime.datetime.now(datetime.UTC), logs, unseen)


def _belongs(thing: Thing, about: str) -> bool:
    """Whether `about` names it, or what it is part of; events and capacity are kept, since they belong to others."""
    if thing.get("kind") in ("Event", "NodeClaim", "NodePool", "EC2NodeClass"):
        return True
    metadata = section(thing, "metadata")
    name = str(metadata.get("name"))
    return name == about or name.startswith(f"{about}-") or about in section(metadata, "labels").values()


def _failed_containers(objects: Iterable[Thing]) -> Iterator[tuple[str, str, str]]:
    for thing in objects:
        status = section(thing, "status")
        if thing.get("kind") != "Pod" or status.get("phase") == "Succeeded":
            continue
        for container in (*entries(status, "initContainerStatuses"), *entries(status, "containerStatuses")):
            last = section(container, "state", "terminated") or section(container, "lastState", "terminated")
            if last.get("exitCode"):
                metadata = section(thing, "metadata")
                yield str(metadata["namespace"]), str(metadata["name"]), str(container["name"])


def _listed(cluster: Cluster, what: tuple[str, str]) -> list[dict[str, Any]] | None:
    """None where the credentials may not read it."""
    try:
        return cluster.list(*what)
    except ForbiddenError:
        return None


def _log(cluster: Cluster, key: tuple[str, str, str]) -> str:
    """Of the attempt that ended last, and of the one that runs now, which may have said nothing yet."""
    try:
        return cluster.log(*key, previous=True, lines=_LINES) + cluster.log(*key, lines=_LINES)
    except ForbiddenError:
        return ""
