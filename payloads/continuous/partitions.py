"""The partitions of a data set, and which of them a model has not seen."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from payloads.continuous.objects import Found

# Hive's form, of one level or more: day=2026-01-01/hour=07
_NAME = re.compile(r"[^/=]+=[^/]+(/[^/=]+=[^/]+)*")


@dataclass(frozen=True)
class Partition:
    """A folder as `day=2026-01-01`. `fingerprint` is of its files' names, ETags and sizes, so it changes with their
    content and stays when equal bytes are written again."""

    name: str
    fingerprint: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Partitions that the champion has seen as they are, and those that it has not; `gone` are names it has seen."""

    known: tuple[Partition, ...]
    new: tuple[Partition, ...]
    changed: tuple[Partition, ...]
    gone: tuple[str, ...]

    @property
    def pending(self) -> tuple[Partition, ...]:
        return tuple(sorted((*self.new, *self.changed), key=lambda partition: partition.name))


def partitions(folder: str, objects: Iterable[Found]) -> list[Partition]:
    """Partitions of the data set in `folder`, by name. Objects that are no Parquet files, or lie in no partition, are
    none of them: writers leave markers and drafts behind."""
    files: dict[str, list[Found]] = {}
    for found in objects:
        name = posixpath.dirname(found.path.removeprefix(f"{folder}/"))
        if found.path.endswith(".parquet") and _NAME.fullmatch(name):
            files.setdefault(name, []).append(found)
    return [_partition(name, files[name]) for name in sorted(files)]


def plan(found: Iterable[Partition], seen: Mapping[str, str]) -> Plan:
    """What is there against what was `seen`: fingerprints by name."""
    there = list(found)
    return Plan(
        known=tuple(each for each in there if seen.get(each.name) == each.fingerprint),
        new=tuple(each for each in there if each.name not in seen),
        changed=tuple(each for each in there if seen.get(each.name, each.fingerprint) != each.fingerprint),
        gone=tuple(sorted(set(seen) - {each.name for each in there})),
    )


def fingerprints(found: Iterable[Partition]) -> dict[str, str]:
    return {each.name: each.fingerprint for each in found}


def _partition(name: str, files: list[Found]) -> Partition:
    files = sorted(files, key=lambda found: found.path)
    lines = [f"{posixpath.basename(found.path)} {found.etag} {found.size}" for found in files]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Partition(name, digest, tuple(found.path for found in files))
