"""The pinned CRDs of KubeRay, KEDA and the Prometheus operator as JSON schemas that refuse unknown fields, which the
API server would drop."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from infra.kubernetes.crds import read_folder
from infra.kubernetes.kuberay import CRDS_VARIABLE
from infra.versions import VERSIONS

PROJECT = Path(__file__).resolve().parents[2]
# What means the same in both kinds of schema.
_SAME = ("type", "enum", "required", "minimum", "maximum", "pattern", "minItems", "minLength", "maxLength")


@functools.cache
def crds_folder() -> Path:
    """The CRDs of the pinned operator: where the environment says, or in the module that the toolchain pins."""
    if given := os.environ.get(CRDS_VARIABLE):
        return Path(given)
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/ray-project/kuberay/ray-operator"],
        cwd=PROJECT / "local" / "toolchain" / "cluster",
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(module.stdout.strip()) / "config" / "crd" / "bases"


@functools.cache
def keda_folder() -> Path:
    """The CRDs in the module of the pinned KEDA, which Go keeps once it has been downloaded."""
    return _module(f"github.com/kedacore/keda/v2@v{VERSIONS['keda']}") / "config" / "crd" / "bases"


@functools.cache
def monitoring_folder() -> Path:
    """Likewise those of the pinned Prometheus operator."""
    operator = "github.com/prometheus-operator/prometheus-operator"
    return _module(f"{operator}@v{VERSIONS['prometheus-operator']}") / "example" / "prometheus-operator-crd"


def _module(module: str) -> Path:
    told = subprocess.run(["go", "mod", "download", "-json", module], capture_output=True, text=True, check=True)
    return Path(json.loads(told.stdout)["Dir"])


@functools.cache
def crds(group: str) -> dict[str, dict[str, Any]]:
    folders = {"ray.io": crds_folder, "monitoring.coreos.com": monitoring_folder}
    return read_folder(folders.get(group, keda_folder)())


@functools.cache
def validator(api_version: str, kind: str) -> jsonschema.Draft202012Validator:
    group, _, wanted = api_version.partition("/")
    for manifest in crds(group).values():
        if manifest["spec"]["names"]["kind"] == kind:
            version = next(version for version in manifest["spec"]["versions"] if version["name"] == wanted)
            return jsonschema.Draft202012Validator(strict(version["schema"]["openAPIV3Schema"], root=True))
    raise AssertionError(f"the pinned CRDs have no {kind}")


def violations(manifest: dict[str, Any]) -> list[str]:
    """What the CRD of `manifest` does not allow, each with its path."""
    errors = validator(manifest["apiVersion"], manifest["kind"]).iter_errors(manifest)
    return [f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}" for error in errors]


def strict(schema: dict[str, Any], root: bool = False) -> dict[str, Any]:
    """An OpenAPI v3 schema of a CRD as JSON schema with unknown fields refused."""
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    converted = {key: value for key, value in schema.items() if key in _SAME}
    if "properties" in schema:
        converted["properties"] = {
            # The CRDs leave metadata open at their root: the API server knows it.
            name: {"type": "object"} if root and name == "metadata" else strict(value)
            for name, value in schema["properties"].items()
        }
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            converted["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        converted["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        converted["items"] = strict(schema["items"])
    if schema.get("nullable") and "type" in converted:
        converted["type"] = [converted["type"], "null"]
    return converted


def load_settings(stack: str) -> dict[str, Any]:
    """A stack file's values, as the program would read them."""
    values = yaml.safe_load((PROJECT / "stacks" / f"Pulumi.{stack}.yaml").read_text())["config"]
    return {key.removeprefix("manta:"): value for key, value in values.items()}
