"""A workbench stack: a Ray cluster that stands, for experiments. Never in production."""

from __future__ import annotations

from pydantic import Field, model_validator

from infra.settings.base import Count, Image, Name, Positive, Quantity, Settings
from infra.settings.ray import Head, Preemption, Workers
from infra.settings.scaling import ScalingSettings


class WorkbenchHead(Head):
    """Drivers of submitted jobs and Ray Client sessions run on the head, though no tasks do."""

    cpus: Positive = 2
    cpu_request: Quantity | None = "1"
    memory: Quantity = "8Gi"
    memory_request: Quantity | None = "8Gi"


class WorkbenchWorkers(Workers):
    """None while nobody works; a person who thinks for ten minutes keeps theirs."""

    min: Count | None = 0
    max: Positive | None = 8
    cpus: Positive = 3
    gpus: Count = 1
    memory: Quantity = "12Gi"
    idle_timeout_seconds: Count = 600

    @model_validator(mode="after")
    def _scale(self) -> WorkbenchWorkers:
        if not self.autoscales:
            raise ValueError("a workbench gives idle workers back: say min and max, not count")
        return self


class WorkbenchSettings(Settings):
    """Code comes with each job (`ray job submit --working-dir`), so the cluster holds none."""

    name: Name = "workbench"
    workers: WorkbenchWorkers = WorkbenchWorkers()
    head: WorkbenchHead = WorkbenchHead()
    image: Image | None = None
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    preemption: Preemption = Preemption()
    scaling: ScalingSettings | None = None

    @model_validator(mode="after")
    def _fits(self) -> WorkbenchSettings:
        if self.scaling:
            self.scaling.check(self.workers.most)
        return self
