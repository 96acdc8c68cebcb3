"""What changes between two versions of an object's inputs, and whether that takes a new object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from local.engine.kubernetes.identity import AUTONAMED, GroupVersionKind, annotations_of, name_of, namespace_of
from local.engine.kubernetes.replacement import immutable_fields
from local.engine.kubernetes.values import Path

ChangeKind = Literal["add", "delete", "update"]
_INTERNAL = "__"


@dataclass(frozen=True)
class Change:
    path: Path
    kind: ChangeKind
    replaces: bool


@dataclass(frozen=True)
class Difference:
    changes: tuple[Change, ...]
    delete_before_replace: bool
    """The old object must go first: the new one has the same name."""

    @property
    def replaces(self) -> bool:
        return any(change.replaces for change in self.changes)


def compare(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, ChangeKind]]:
    """The topmost paths that differ. Lists are compared by position."""
    if isinstance(old, dict) and isinstance(new, dict):
        old_map, new_map = cast(dict[str, Any], old), cast(dict[str, Any], new)
        for key in {**old_map, **new_map}:
            if key not in new_map:
                yield (*path, key), "delete"
            elif key not in old_map:
                yield (*path, key), "add"
            else:
                yield from compare(old_map[key], new_map[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        old_list, new_list = cast(list[Any], old), cast(list[Any], new)
        for i in range(max(len(old_list), len(new_list))):
            if i >= len(new_list):
                yield (*path, i), "delete"
            elif i >= len(old_list):
                yield (*path, i), "add"
            else:
                yield from compare(old_list[i], new_list[i], (*path, i))
    elif old is not new and (old != new or isinstance(old, bool) != isinstance(new, bool)):
        yield path, "update"


def difference(
    gvk: GroupVersionKind,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    default_namespace: str,
    content_mutable: bool = False,
) -> Difference:
    """`default_namespace` is where an object without a namespace is: naming it explicitly changes nothing."""
    old, new = _visible(old, default_namespace), _visible(new, default_namespace)
    if annotations_of(old).get(AUTONAMED) and not annotations_of(new).get(AUTONAMED) and name_of(old) == name_of(new):
        # Writing the generated name into the program is no change of the object.
        old = _without_autonamed(old)
    content_mutable = content_mutable and old.get("immutable") is not True
    rules = immutable_fields(gvk, content_mutable=content_mutable)
    changes: list[Change] = []
    for path, kind in compare(old, new):
        if path == ("apiVersion",):
            replaces = _group(str(old.get("apiVersion"))) != _group(str(new.get("apiVersion")))
        else:
            replaces = any(rule.covers(path) and _touches(rule.prefix, path, kind, old, new) for rule in rules)
        changes.append(Change(path, kind, replaces))
    if old.get("immutable") is True and new.get("immutable") is not True and gvk.kind in ("ConfigMap", "Secret"):
        changes = [Change(c.path, c.kind, c.replaces or c.path == ("immutable",)) for c in changes]
    same_name = (name_of(old), namespace_of(old)) == (name_of(new), namespace_of(new))
    autonamed = bool(annotations_of(new).get(AUTONAMED))
    return Difference(
        tuple(changes),
        delete_before_replace=any(c.replaces for c in changes) and same_name and not autonamed,
    )


def _touches(
    prefix: tuple[str, ...], path: Path, kind: ChangeKind, old: Mapping[str, Any], new: Mapping[str, Any]
) -> bool:
    """A change above an immutable field concerns it only if the field is in what is added or removed."""
    if len(path) >= len(prefix) or kind == "update":
        return True
    value: Any = old if kind == "delete" else new
    for part in prefix:
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = cast(Mapping[str, Any], value)[part]
    return True


def _visible(inputs: Mapping[str, Any], default_namespace: str) -> dict[str, Any]:
    """Without what is bookkeeping of the provider."""
    result = {key: value for key, value in inputs.items() if not key.startswith(_INTERNAL)}
    metadata = dict(cast(Mapping[str, Any], result.get("metadata") or {}))
    if metadata.get("namespace") == default_namespace:
        del metadata["namespace"]
    result["metadata"] = metadata
    return result


def _without_autonamed(inputs: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(inputs["metadata"])
    annotations = {k: v for k, v in metadata.get("annotations", {}).items() if k != AUTONAMED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    return {**inputs, "metadata": metadata}


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]
