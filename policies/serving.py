"""The Serve configuration inside a RayService."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import yaml

from policies.rule import Resource
from policies.values import Values, at, entries, section

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Deployment:
    where: str
    spec: Values
    application: Values

    @property
    def autoscaling(self) -> Values:
        return section(self.spec, "autoscaling_config")


def config(resource: Resource) -> Values | None:
    """serveConfigV2 parsed; None if it is no YAML mapping."""
    return _parsed(str(at(resource.props, "spec", "serveConfigV2") or ""))


def deployments(resource: Resource) -> Iterator[Deployment]:
    for application in entries(config(resource), "applications"):
        for deployment in entries(application, "deployments"):
            where = f"application {at(application, 'name')}, deployment {at(deployment, 'name')}"
            yield Deployment(where, deployment, application)


@lru_cache(maxsize=64)
def _parsed(text: str) -> Values | None:
    try:
        value: Any = yaml.load(text, _LOADER)  # noqa: S506 - a safe loader, the C one where there is one
    except yaml.YAMLError:
        return None
    return cast(Values, value) if isinstance(value, Mapping) else None
