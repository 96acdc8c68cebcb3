"""Parts of documents whose shape the types of this provider say, never Python's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under `name`; empty where there is none."""
    return cast(dict[str, Any], values.get(name) or {})


def rows(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects under `name`; none where nothing is said."""
    return cast(list[dict[str, Any]], values.get(name) or [])


def words(values: Mapping[str, Any], name: str) -> list[str]:
    """The texts under `name`; none where nothing is said."""
    return cast(list[str], values.get(name) or [])


def listed(value: Any) -> list[Any]:
    """A policy's one value or list of values, as a list."""
    return cast(list[Any], value) if isinstance(value, list) else [value]
