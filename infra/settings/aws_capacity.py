"""Which machines Karpenter may launch for Ray, and how many."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.aws import instances
from infra.settings.base import Count, Positive, Quantity, Settings

Hours = Annotated[int, Field(ge=1, le=24 * 90)]


class ReservationSettings(Settings):
    """A capacity reservation or a capacity block for ML, by its id; both are made outside of this stack."""

    id: str = Field(pattern=r"^cr-[0-9a-f]{8,17}$")
    zone: str
    instance_type: str

    @model_validator(mode="after")
    def _has_gpus(self) -> ReservationSettings:
        if not instances.gpus(self.instance_type):
            raise ValueError(f"instanceType {self.instance_type} has no NVIDIA GPU: {_gpu_hint(self.instance_type)}")
        return self


class PoolSettings(Settings):
    """`families` and `sizes` (none: all) are what Karpenter chooses from, the cheapest that fits first; after
    `expireHours` a node is drained, whatever runs on it."""

    families: list[str] = Field(min_length=1)
    sizes: list[str] = Field(default_factory=list[str])
    zones: list[str] = Field(default_factory=list[str])
    expire_hours: Hours | None = None

    @model_validator(mode="after")
    def _machines_exist(self) -> PoolSettings:
        for family in self.families:
            known = instances.sizes(family)
            if not known:
                close = difflib.get_close_matches(family, instances.families(), n=1)
                hint = f"did you mean {close[0]}?" if close else "`aws ec2 describe-instance-types` lists them"
                raise ValueError(f"families: {family} is no instance family ({hint})")
            if self.sizes and not set(self.sizes) & set(known):
                raise ValueError(f"sizes: {family} comes in none of {', '.join(self.sizes)}: it has {', '.join(known)}")
        every = {size for family in self.families for size in instances.sizes(family)}
        for size in self.sizes:
            if size not in every:
                raise ValueError(f"sizes: none of the families has the size {size}: use of {', '.join(sorted(every))}")
        return self


class PluginSettings(Settings):
    """NVIDIA's device plugin, where the machine image brings none. `health`: a GPU that reports errors is offered no
    more. `sharing`: pods that take turns on one GPU, without walls between their memories; Karpenter goes on counting
    whole GPUs. `image`: the plugin's, in a registry of your own."""

    image: str | None = None
    health: bool = True
    sharing: Annotated[int, Field(ge=1, le=16)] = 1


class GpuSettings(PoolSettings):
    """`limit` counts GPUs of all GPU pools together."""

    limit: Positive
    spot: bool = True
    on_demand: bool = True
    reservations: list[ReservationSettings] = Field(default_factory=list[ReservationSettings])
    plugin: PluginSettings = PluginSettings()
    disk_gib: Annotated[int, Field(ge=60, le=16_000)] = 200
    idle_seconds: Annotated[int, Field(ge=30, le=86_400)] = 120

    @model_validator(mode="after")
    def _has_gpus(self) -> GpuSettings:
        for family in self.families:
            if not instances.has_gpus(family):
                raise ValueError(f"families: {family} has no NVIDIA GPU: {_gpu_hint(family)}")
            if instances.architecture(family) != "amd64":
                raise ValueError(f"families: {family} is an ARM machine, and the image of the runs is for amd64")
        if not (self.spot or self.on_demand or self.reservations):
            raise ValueError("nothing can be launched: set spot or onDemand, or give a reservation")
        return self


class CpuSettings(PoolSettings):
    """For heads, workers without GPUs and servers. Always on-demand: a head that is lost takes its run with it."""

    families: list[str] = Field(default_factory=lambda: ["m7i", "m6i", "m7a", "r7i"], min_length=1)
    sizes: list[str] = Field(default_factory=lambda: ["large", "xlarge", "2xlarge", "4xlarge"])
    cpu_limit: Positive = 128
    memory_limit: Quantity = "512Gi"
    capacity_types: list[Literal["on-demand"]] = Field(default_factory=lambda: ["on-demand"], min_length=1)
    expire_hours: Hours | None = 720
    disk_gib: Annotated[int, Field(ge=20, le=16_000)] = 100
    idle_seconds: Annotated[int, Field(ge=30, le=86_400)] = 300


class AmiSettings(Settings):
    """A pinned machine image: `alias` of Karpenter (family@version, never @latest), or `id`.

    `driver` is the NVIDIA driver in it, which must be new enough for the CUDA of the image of the runs."""

    alias: str | None = Field(default=None, pattern=r"^(al2023|bottlerocket)@v?[0-9][0-9.]*$")
    id: str | None = Field(default=None, pattern=r"^ami-[0-9a-f]{8,17}$")
    family: Literal["AL2023", "Bottlerocket"] = "AL2023"
    driver: str = Field(default="580.95.05", pattern=r"^\d+(\.\d+)*$")

    @model_validator(mode="after")
    def _is_pinned(self) -> AmiSettings:
        if (self.alias is None) == (self.id is None):
            raise ValueError("say either alias or id")
        if self.alias and self.alias.partition("@")[0] != self.family.lower():
            raise ValueError(f"alias {self.alias} is not of the family {self.family}: say family too")
        return self


class CapacitySettings(Settings):
    """The ladder: reserved, then spot, then on-demand GPUs; and machines without GPUs."""

    ami: AmiSettings
    gpu: GpuSettings
    cpu: CpuSettings = CpuSettings()
    max_surge: Count = 1

    def check_zones(self, zones: list[str]) -> None:
        """Raises ValueError for a zone outside of the network."""
        for name, pool in (("gpu", self.gpu), ("cpu", self.cpu)):
            for zone in pool.zones:
                if zone not in zones:
                    raise ValueError(f"capacity.{name}.zones: {zone} is none of network.zones ({', '.join(zones)})")
        for reservation in self.gpu.reservations:
            if reservation.zone not in (self.gpu.zones or zones):
                raise ValueError(
                    f"capacity.gpu.reservations: {reservation.id} is in {reservation.zone}, where no node can be "
                    f"launched ({', '.join(self.gpu.zones or zones)}): add the zone or leave the reservation out"
                )


def _gpu_hint(text: str) -> str:
    close = difflib.get_close_matches(text, instances.gpu_families(), n=1, cutoff=0.3)
    return f"did you mean {close[0]}?" if close else f"use one of {', '.join(instances.gpu_families())}"
