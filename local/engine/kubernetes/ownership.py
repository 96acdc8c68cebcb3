"""Who wrote which field of an object: `metadata.managedFields`, read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from local.engine.kubernetes.objects import items, section
from local.engine.kubernetes.values import Path


def has_applied(live: Mapping[str, Any], manager: str) -> bool:
    """Whether `manager` has ever applied to the object and still owns fields of it."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in items(live, "metadata", "managedFields")
    )


def foreign_owners(live: Mapping[str, Any], path: Path, manager: str) -> list[str]:
    """The managers other than `manager` that own the field at `path` or something in it."""
    return [
        str(entry.get("manager"))
        for entry in items(live, "metadata", "managedFields")
        if entry.get("manager") != manager
        and entry.get("subresource") != "status"
        and _owns(section(entry, "fieldsV1"), live, path)
    ]


def _owns(fields: Mapping[str, Any], value: Any, path: Path) -> bool:
    if not path:
        return True
    part, rest = path[0], path[1:]
    if isinstance(part, str):
        key = f"f:{part}"
        inner = cast(Mapping[str, Any], value).get(part) if isinstance(value, Mapping) else None
        return key in fields and _owns(cast(Mapping[str, Any], fields[key]), inner, rest)
    if not isinstance(value, Sequence) or part >= len(cast(Sequence[Any], value)):
        return False
    item = cast(Sequence[Any], value)[part]
    return any(_owns(cast(Mapping[str, Any], fields[key]), item, rest) for key in _keys_of_item(fields, item))


def _keys_of_item(fields: Mapping[str, Any], item: Any) -> Iterator[str]:
    """`k:{...}` names a list item by its key fields, `v:...` by its value."""
    for key in fields:
        if key.startswith("k:") and isinstance(item, Mapping):
            wanted = cast(dict[str, Any], json.loads(key[2:]))
            if all(cast(Mapping[str, Any], item).get(k) == v for k, v in wanted.items()):
                yield key
        elif key.startswith("v:") and json.loads(key[2:]) == item:
            yield key


def without_foreign(
    body: Mapping[str, Any], live: Mapping[str, Any], ignored: Sequence[Path], manager: str
) -> dict[str, Any]:
    """`body` without those ignored fields that someone else owns now: applying our old value would conflict.

    A field that nobody else owns stays in, or the API server would take it out of the object.
    """
    result = copy.deepcopy(dict(body))
    for path in ignored:
        if path and foreign_owners(live, path, manager):
            _remove(result, path)
    return result


def _remove(value: Any, path: Path) -> None:
    for part in path[:-1]:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict):
        cast(dict[Any, Any], value).pop(path[-1], None)


def parse_path(text: str) -> Path | None:
    """`spec.replicas`, `metadata.annotations["a/b"]`, `spec.ports[0].port`; None for wildcards, which name no field."""
    path: list[str | int] = []
    i = 0
    while i < len(text):
        if text[i] == ".":
            i += 1
        elif text.startswith('["', i):
            end = text.find('"]', i)
            if end < 0:
                return None
            path.append(text[i + 2 : end])
            i = end + 2
        elif text[i] == "[":
            end = text.find("]", i)
            if end < 0 or not text[i + 1 : end].isdigit():
                return None
            path.append(int(text[i + 1 : end]))
            i = end + 1
        else:
            end = min((j for j in (text.find(".", i), text.find("[", i)) if j >= 0), default=len(text))
            if text[i:end] == "*":
                return None
            path.append(text[i:end])
            i = end
    return tuple(path)
