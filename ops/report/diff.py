"""Which properties differ between two sets of inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast


@dataclass(frozen=True)
class Difference:
    path: str
    old: Any
    new: Any


def differences(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """Leaves that differ, in the order of the properties; lists are compared place by place, or by their entries'
    `name` where all have one."""
    # What is added or taken away is shown by its parts.
    if old is None and isinstance(new, (Mapping, list)) and new:
        old = [] if isinstance(new, list) else {}
    elif new is None and isinstance(old, (Mapping, list)) and old:
        new = [] if isinstance(old, list) else {}
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        before, after = cast(Mapping[str, Any], old), cast(Mapping[str, Any], new)
        for key in sorted({*before, *after}):
            if not key.startswith("__"):
                yield from differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _lists(cast(list[Any], old), cast(list[Any], new), path)
    elif old != new:
        yield Difference(path, old, new)


def _lists(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    named = [_by_name(old), _by_name(new)]
    if named[0] is not None and named[1] is not None:
        before, after = named[0], named[1]
        for name in dict.fromkeys([*before, *after]):
            yield from differences(before.get(name), after.get(name), f"{path}[{name}]")
        return
    for place in range(max(len(old), len(new))):
        left = old[place] if place < len(old) else None
        right = new[place] if place < len(new) else None
        yield from differences(left, right, f"{path}[{place}]")


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):  # pyright: ignore[reportUnknownMemberType]
            return None
        found[str(cast(dict[str, Any], entry)["name"])] = entry
    return found if len(found) == len(entries) else None
