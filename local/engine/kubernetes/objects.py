"""Reading Kubernetes objects as the API server sends them: plain mappings, where what is absent counts as empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

Object = Mapping[str, Any]


def section(obj: Object, *path: str) -> Object:
    """The mapping at `path`; empty when there is none."""
    value: Any = obj
    for part in path:
        value = cast(Object, value).get(part) if isinstance(value, Mapping) else None
    return cast(Object, value) if isinstance(value, Mapping) else {}


def items(obj: Object, *path: str) -> Sequence[Object]:
    """The mappings in the list at `path`; empty when there is none."""
    value = section(obj, *path[:-1]).get(path[-1])
    if not isinstance(value, (list, tuple)):
        return ()
    return [cast(Object, item) for item in cast(Sequence[Any], value) if isinstance(item, Mapping)]
