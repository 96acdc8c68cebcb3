"""Who an object is: its kind out of a Pulumi type token, its name out of an id, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.engine.kubernetes.objects import section

FIELD_MANAGER_KEY = "__fieldManager"
INITIAL_API_VERSION_KEY = "__initialApiVersion"
AUTONAMED = "pulumi.com/autonamed"

OFFICIAL_ONLY = {
    "kubernetes:helm.sh/v4:Chart": "Helm charts",
    "kubernetes:helm.sh/v3:Chart": "Helm charts",
    "kubernetes:kustomize/v2:Directory": "Kustomize directories",
    "kubernetes:yaml/v2:ConfigFile": "yaml.v2.ConfigFile",
    "kubernetes:yaml/v2:ConfigGroup": "yaml.v2.ConfigGroup",
}


class UnsupportedError(Exception):
    """Something that only the official provider can do."""


@dataclass(frozen=True)
class GroupVersionKind:
    """An object's type. `group` is empty for the core group."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def parse(cls, api_version: str, kind: str) -> GroupVersionKind:
        group, _, version = api_version.rpartition("/")
        return cls(group, version, kind)

    @property
    def is_builtin(self) -> bool:
        """Served by the API server itself, never by a CustomResourceDefinition."""
        return "." not in self.group or (
            self.group.endswith(".k8s.io") and self.group.split(".", 1)[0] in _BUILTIN_K8S_GROUPS
        )


_BUILTIN_K8S_GROUPS = {
    "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization", "certificates",
    "coordination", "discovery", "events", "flowcontrol", "internal", "networking", "node", "rbac", "resource",
    "scheduling", "storage", "storagemigration",
}  # fmt: skip


@dataclass(frozen=True)
class ResourceType:
    """What a Pulumi resource type stands for."""

    gvk: GroupVersionKind
    is_patch: bool
    """A `...Patch` resource: co-owns fields of an object that something else created."""


def parse_type(token: str) -> ResourceType:
    """`kubernetes:apps/v1:Deployment` and the like. UnsupportedError for what only the official provider can do."""
    if what := OFFICIAL_ONLY.get(token):
        raise UnsupportedError(
            f"{what} need Pulumi's official Kubernetes provider, and the stand-in of Manta is in use: install the "
            "plugin (`pulumi plugin install resource kubernetes`) or apply plain manifests instead."
        )
    _, module, kind = token.split(":", 2)
    group, _, version = module.rpartition("/")
    group = "" if group in ("core", "") else group
    is_patch = kind.endswith("Patch") and kind != "Patch"
    if kind.endswith("List") and GroupVersionKind(group, version, kind).is_builtin:
        raise UnsupportedError(
            f"{kind} cannot be created or read as one resource: declare its items one by one "
            f"({kind.removesuffix('List')})."
        )
    return ResourceType(GroupVersionKind(group, version, kind.removesuffix("Patch") if is_patch else kind), is_patch)


def object_type(token: str, inputs: Mapping[str, Any]) -> ResourceType:
    """The type of an object; its own apiVersion and kind go before the token's, which some SDKs abbreviate."""
    declared = parse_type(token)
    api_version, kind = inputs.get("apiVersion"), inputs.get("kind")
    if isinstance(api_version, str) and isinstance(kind, str):
        return ResourceType(GroupVersionKind.parse(api_version, kind), declared.is_patch)
    return declared


def name_of(value: Mapping[str, Any]) -> str:
    return str(metadata_of(value).get("name") or "")


def namespace_of(value: Mapping[str, Any]) -> str:
    return str(metadata_of(value).get("namespace") or "")


def metadata_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return section(value, "metadata")


def annotations_of(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return section(value, "metadata", "annotations")


def format_id(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def parse_id(identifier: str) -> tuple[str, str]:
    """(namespace, name); no namespace in it means the default one, or none for cluster-wide kinds."""
    namespace, _, name = identifier.rpartition("/")
    return namespace, name
