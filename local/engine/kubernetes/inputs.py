"""Checked inputs: what of a declared object goes to the API server, with its name and namespace settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from local.engine.kubernetes.identity import AUTONAMED, annotations_of, metadata_of
from local.engine.kubernetes.naming import auto_name, generated_name
from local.engine.kubernetes.values import Path, Unknown

# Written by the API server; people paste them in with the output of `kubectl get -o yaml`.
OUTPUT_ONLY_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

NamingMode = Literal["propose", "enforce", "disable"]


class InputError(Exception):
    """`property` cannot be what it is."""

    def __init__(self, property_path: str, reason: str) -> None:
        super().__init__(reason)
        self.property_path = property_path
        self.reason = reason


@dataclass(frozen=True)
class Naming:
    """How the engine wants an object without a name to be called."""

    urn_name: str
    seed: bytes
    proposed: str = ""
    mode: NamingMode = "propose"


def pruned(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only the API server may write."""
    result = {key: value for key, value in inputs.items() if key != "status" and not key.startswith("__")}
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        kept = {k: v for k, v in cast(dict[str, Any], metadata).items() if k not in OUTPUT_ONLY_METADATA}
        annotations = kept.get("annotations")
        if isinstance(annotations, dict) and LAST_APPLIED in annotations:
            kept["annotations"] = {k: v for k, v in cast(dict[str, Any], annotations).items() if k != LAST_APPLIED}
        result["metadata"] = kept
    return result


def named(inputs: Mapping[str, Any], old: Mapping[str, Any], naming: Naming) -> dict[str, Any]:
    """`inputs` with a name: its own, else the one it was given before, else a new one marked as such.

    The mark lets a replacement be created before the old object goes, since its name will differ.
    """
    metadata = dict(metadata_of(inputs))
    if isinstance(metadata.get("name"), Unknown) or metadata.get("name"):
        return {**inputs, "metadata": metadata}
    if "metadata" in inputs and not isinstance(inputs["metadata"], Mapping):
        return dict(inputs)
    old_name = metadata_of(old).get("name")
    if old_name and annotations_of(old).get(AUTONAMED):
        name = str(old_name)
    elif metadata.get("generateName"):
        name = generated_name(str(metadata["generateName"]), naming.seed)
    elif naming.mode == "disable":
        raise InputError("metadata.name", "autonaming is disabled in this project, so the object needs a name")
    elif naming.proposed:
        name = naming.proposed
    else:
        name = auto_name(naming.urn_name, naming.seed)
    annotations = metadata.get("annotations")
    if not isinstance(annotations, Unknown):
        metadata["annotations"] = {**cast(Mapping[str, Any], annotations or {}), AUTONAMED: "true"}
    # The API server refuses generateName in server-side apply; the name made from it says the same.
    metadata.pop("generateName", None)
    metadata["name"] = name
    return {**inputs, "metadata": metadata}


def placed(inputs: Mapping[str, Any], namespaced: bool, default_namespace: str) -> dict[str, Any]:
    """`inputs` with the namespace that the object is in; cluster-wide kinds have none."""
    metadata = dict(metadata_of(inputs))
    if not namespaced:
        metadata.pop("namespace", None)
    elif not metadata.get("namespace"):
        metadata["namespace"] = default_namespace
    return {**inputs, "metadata": metadata}


def secret_paths(inputs: Mapping[str, Any], kind: str, declared: frozenset[Path]) -> frozenset[Path]:
    """What must be encrypted wherever it is kept: what the program says, and the content of every Secret."""
    if kind != "Secret":
        return declared
    return declared | {(key,) for key in ("data", "stringData") if key in inputs}
