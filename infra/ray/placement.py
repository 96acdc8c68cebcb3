"""Where the pods of a Ray cluster go, as the platform offers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

KINDS = ("head", "cpu", "gpu")


@dataclass(frozen=True)
class Placement:
    """Of one kind of pod; empty on a cluster of one kind of node."""

    node_selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: tuple[Mapping[str, str], ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])

    def apply(self, template: dict[str, Any]) -> dict[str, Any]:
        """A pod template with this placement."""
        metadata, spec = dict(template["metadata"]), dict(template["spec"])
        if self.annotations:
            metadata["annotations"] = {**metadata.get("annotations", {}), **self.annotations}
        if self.node_selector:
            spec["nodeSelector"] = dict(self.node_selector)
        if self.tolerations:
            spec["tolerations"] = [dict(toleration) for toleration in self.tolerations]
        return {**template, "metadata": metadata, "spec": spec}


ANYWHERE = Placement()


@dataclass(frozen=True)
class Placements:
    """Of heads, of workers without GPUs and of workers with them."""

    head: Placement = ANYWHERE
    cpu: Placement = ANYWHERE
    gpu: Placement = ANYWHERE

    def worker(self, gpus: int) -> Placement:
        return self.gpu if gpus else self.cpu

    def to_output(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_output(cls, value: Mapping[str, Any]) -> Placements:
        """Raises KeyError, TypeError or ValueError for what no platform wrote."""
        return cls(**{kind: _placement(cast(Mapping[str, Any], value.get(kind, {}))) for kind in KINDS})


EVERYWHERE = Placements()


def _placement(value: Mapping[str, Any]) -> Placement:
    return Placement(
        node_selector={str(key): str(item) for key, item in dict(value.get("node_selector", {})).items()},
        tolerations=tuple({str(k): str(v) for k, v in dict(item).items()} for item in value.get("tolerations", ())),
        annotations={str(key): str(item) for key, item in dict(value.get("annotations", {})).items()},
    )
