"""Resources that break no rule in production; the tests bend one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tests.contract.manifests import ray_job, ray_service
from tests.unit.policies.analyzer import changed, kind_of

ON_DEMAND = {"karpenter.sh/capacity-type": "on-demand"}


def run() -> dict[str, Any]:
    return ray_job("autoscaling")


def endpoint() -> dict[str, Any]:
    return ray_service("autoscaling")


def bent(manifest: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`manifest` with `value` at `path`; `serve:` before a path leads into the Serve configuration."""
    inside = path.removeprefix("serve:")
    if inside == path:
        return changed(manifest, path, value)
    config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    return changed(manifest, "spec/serveConfigV2", yaml.safe_dump(changed(config, inside, value)))


def with_variable(manifest: Mapping[str, Any], group: str, name: str, value: Any) -> dict[str, Any]:
    """`manifest` with a variable of the Ray container in `group` set to `value`, or taken out if that is None."""
    path = f"{group}/template/spec/containers/0/env"
    place: Any = manifest
    for part in path.split("/"):
        place = place[int(part) if part.isdigit() else part]
    kept = [entry for entry in place if entry["name"] != name]
    return changed(manifest, path, kept if value is None else [*kept, {"name": name, "value": value}])


def kind(manifest: Mapping[str, Any]) -> str:
    return kind_of(manifest)
