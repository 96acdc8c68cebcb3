"""What of a live object is kept as a resource's state."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, cast

from local.engine.kubernetes.identity import FIELD_MANAGER_KEY, INITIAL_API_VERSION_KEY
from local.engine.kubernetes.inputs import LAST_APPLIED
from local.engine.kubernetes.objects import section
from local.engine.kubernetes.values import UNKNOWN, Path

# Decided when the object is really created; what a dry run says about them is not what they will be.
_DECIDED_LATER = ("creationTimestamp", "generation", "resourceVersion", "uid")


def state_of(live: Mapping[str, Any], field_manager: str, api_version: str) -> dict[str, Any]:
    """The live object without who wrote which field, and without a copy of an earlier configuration, which would hold
    secrets outside of the places that are known to be secret."""
    metadata = {key: value for key, value in section(live, "metadata").items() if key != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    return {
        **live,
        "metadata": metadata,
        FIELD_MANAGER_KEY: field_manager,
        INITIAL_API_VERSION_KEY: api_version,
    }


def previewed_creation(dry_run: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A dry run's answer with what is decided later unknown, so that programs do not compute with it."""
    metadata = dict(dry_run["metadata"])
    metadata.update(dict.fromkeys(_DECIDED_LATER, UNKNOWN))
    result: dict[str, Any] = {**dry_run, "metadata": metadata, "status": UNKNOWN}
    spec = dry_run.get("spec")
    if dry_run.get("kind") == "Service" and dry_run.get("apiVersion") == "v1" and isinstance(spec, dict):
        asked = cast(Mapping[str, Any], inputs.get("spec") or {})
        later = {
            key: UNKNOWN
            for key in ("clusterIP", "clusterIPs", "healthCheckNodePort")
            if key in spec and key not in asked and spec.get("clusterIP") != "None"
        }
        result["spec"] = {**cast(dict[str, Any], spec), **later}
    return result


def unchecked_preview(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """For an object that the API server cannot look at yet: its inputs, everything the server adds unknown."""
    metadata = dict(section(inputs, "metadata"))
    metadata.update(dict.fromkeys(_DECIDED_LATER, UNKNOWN))
    return {**inputs, "metadata": metadata, "status": UNKNOWN}


def secret_paths(live: Mapping[str, Any], kind: str, declared: frozenset[Path]) -> frozenset[Path]:
    """Where the state must be encrypted. The data of a Secret is secret whoever wrote it."""
    paths = {path for path in declared if path and path[0] in live}
    if kind == "Secret":
        paths |= {(key,) for key in ("data", "stringData") if key in live}
    return frozenset(paths)


def redacted(message: str, secret_values: Iterator[str]) -> str:
    """An error message of the API server without the secrets that it quotes."""
    # Shorter ones occur in any text by chance, and replacing those would give them away.
    for value in sorted({v for v in secret_values if len(v) >= 4}, key=len, reverse=True):
        message = message.replace(value, "[secret]")
    return message


def values_at(inputs: Mapping[str, Any], paths: frozenset[Path]) -> Iterator[str]:
    """Every string at or below `paths`, as it is, base64-encoded and base64-decoded."""
    for path in paths:
        value: Any = inputs
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                value = None
                break
        for text in _strings(value):
            yield text
            yield base64.b64encode(text.encode()).decode()
            with contextlib.suppress(ValueError):  # most secrets are no base64
                yield base64.b64decode(text, validate=True).decode()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in cast(dict[str, Any], value).values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _strings(item)
