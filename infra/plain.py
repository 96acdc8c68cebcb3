"""Parts of plain manifests and statuses, where a missing part is an empty one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def section(of: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The object at `keys` below `of`; empty where there is none."""
    at: Any = of
    for key in keys:
        at = cast(Mapping[str, Any], at).get(key)
        if not isinstance(at, Mapping):
            return {}
    return dict(cast(Mapping[str, Any], at))


def entries(of: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects at `key` of `of`; empty where there is none."""
    return list(cast(list[dict[str, Any]], of.get(key) or []))
