"""What training and serving stacks say alike: the Ray cluster under them."""

from __future__ import annotations

from pydantic import Field, model_validator

from infra.quantity import parse_quantity
from infra.settings.base import Count, Positive, Quantity, Settings


class Resources(Settings):
    """`cpus` and `memory` are limits, and Ray counts `cpus` as the node's logical CPUs; requests may be lower."""

    cpus: Positive
    cpu_request: Quantity | None = None
    memory: Quantity
    memory_request: Quantity | None = None

    @model_validator(mode="after")
    def _request_within_limit(self) -> Resources:
        if self.cpu_request and parse_quantity(self.cpu_request) > self.cpus:
            raise ValueError(f"cpuRequest {self.cpu_request} is more than cpus {self.cpus}: lower it")
        if self.memory_request and parse_quantity(self.memory_request) > parse_quantity(self.memory):
            raise ValueError(f"memoryRequest {self.memory_request} is more than memory {self.memory}: lower it")
        return self


class Head(Resources):
    """The Ray head runs no tasks (num-cpus 0): its CPUs are for Ray's own processes."""

    cpus: Positive = 1
    cpu_request: Quantity | None = "100m"
    memory: Quantity = "3Gi"
    memory_request: Quantity | None = "1Gi"


class Workers(Resources):
    """Either `count` workers or `min` to `max` of them, which brings Ray's autoscaler in."""

    count: Positive | None = None
    min: Count | None = None
    max: Positive | None = None
    cpus: Positive = 1
    cpu_request: Quantity | None = None
    gpus: Count = 0
    memory: Quantity = "4Gi"
    memory_request: Quantity | None = None
    idle_timeout_seconds: Count = 60

    @model_validator(mode="after")
    def _one_way_of_counting(self) -> Workers:
        if self.count is not None and (self.min is not None or self.max is not None):
            raise ValueError("say either count, or min and max")
        if self.count is None and (self.min is None or self.max is None):
            raise ValueError("say how many: either count, or min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self

    @property
    def autoscales(self) -> bool:
        return self.count is None

    @property
    def least(self) -> int:
        return self.min if self.count is None and self.min is not None else self.count or 0

    @property
    def most(self) -> int:
        return self.max if self.count is None and self.max is not None else self.count or 0


class Preemption(Settings):
    """What fits in a 120 s spot notice: Ray drains a node for `drainSeconds`, and Kubernetes kills the pod after
    `graceSeconds`. With Kubernetes' own 30 s the kill would race Ray's 30 s drain."""

    drain_seconds: Count = Field(default=95, le=110)
    grace_seconds: Count = Field(default=110, le=119)

    @model_validator(mode="after")
    def _drain_ends_before_the_kill(self) -> Preemption:
        if self.drain_seconds >= self.grace_seconds:
            raise ValueError(f"drainSeconds {self.drain_seconds} must be less than graceSeconds {self.grace_seconds}")
        return self
