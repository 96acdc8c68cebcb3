"""Functions of the provider that programs invoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml

from local.engine.kubernetes.identity import UnsupportedError
from local.engine.kubernetes.operations import OperationError


def invoke(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Raises UnsupportedError for what needs Helm or Kustomize."""
    if name == "kubernetes:yaml:decode":
        return {"result": decode_yaml(str(arguments.get("text") or ""), str(arguments.get("defaultNamespace") or ""))}
    what = {"kubernetes:helm:template": "Helm charts", "kubernetes:kustomize:directory": "Kustomize directories"}
    raise UnsupportedError(
        f"{what.get(name, name)} need Pulumi's official Kubernetes provider, and the stand-in of Manta is in use."
    )


def decode_yaml(text: str, default_namespace: str) -> list[dict[str, Any]]:
    """The objects in a YAML stream, lists opened, each in a namespace if one is given."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise OperationError(f"The YAML cannot be read{where}.") from None
    objects: list[dict[str, Any]] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or not {"apiVersion", "kind"} <= set(cast(dict[str, Any], document)):
            raise OperationError("A document in the YAML is no Kubernetes object: it has no apiVersion and kind.")
        item = cast(dict[str, Any], document)
        objects += (
            cast(list[dict[str, Any]], item["items"]) if item["kind"].endswith("List") and "items" in item else [item]
        )
    for item in objects:
        item.pop("status", None)
        if default_namespace:
            item.setdefault("metadata", {}).setdefault("namespace", default_namespace)
    return objects
