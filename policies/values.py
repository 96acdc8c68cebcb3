"""Reading a resource's inputs, whose every part may be missing, of another shape, or not known before the update.

Inputs arrive as the SDK's proxies: reading a part that is unknown raises UnknownValueError. Nothing here catches it but
`each`, so that no rule passes because it could not look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from pulumi_policy.proxy import UnknownValueError

Values = Mapping[str, Any]
Item = TypeVar("Item")
Found = TypeVar("Found")


def at(value: Any, *path: str) -> Any:
    """The value at `path`, None where something on the way is missing or no mapping."""
    for part in path:
        if not isinstance(value, Mapping):
            return None
        mapping = cast(Values, value)
        if part not in mapping:
            return None
        value = mapping[part]
    return value


def section(value: Any, *path: str) -> Values:
    """The mapping at `path`, empty if there is none."""
    found = at(value, *path)
    return cast(Values, found) if isinstance(found, Mapping) else {}


def items(value: Any, *path: str) -> list[Any]:
    """The list at `path`, empty if there is none."""
    found = at(value, *path)
    if isinstance(found, Sequence) and not isinstance(found, (str, bytes)):
        return list(cast(Sequence[Any], found))
    return []


def entries(value: Any, *path: str) -> list[Values]:
    """The mappings in the list at `path`."""
    return [cast(Values, entry) for entry in items(value, *path) if isinstance(entry, Mapping)]


def number(value: Any) -> float | None:
    """A number, also one written as text, as Ray's start parameters and variables are; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def plain(value: Any) -> str:
    """A value for people: the protocol makes every number a float."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def each(things: Iterable[Item], check: Callable[[Item], Iterator[Found]]) -> Iterator[Found]:
    """What `check` finds in all of `things`; an unknown value in one does not hide what is wrong with the others.

    It is raised at the end, so that the rule as a whole counts as not judged.
    """
    unknown: UnknownValueError | None = None
    for thing in things:
        try:
            yield from check(thing)
        except UnknownValueError as error:
            unknown = unknown or error
    if unknown is not None:
        raise unknown
