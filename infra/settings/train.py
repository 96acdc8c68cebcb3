"""A training stack: one run."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from infra.settings.base import Count, Image, Name, Positive, Seconds, Settings
from infra.settings.ray import Head, Preemption, Workers
from infra.settings.schedule import Schedule

# What the trainer's own settings are called on its command line; they come from `workers` and `trainer`.
RESERVED_PARAMETERS = ("run_name", "num_workers", "cpus_per_worker", "gpus_per_worker")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]*")


def _scalar(value: Any) -> Any:
    if not isinstance(value, (str, bool, int, float)):
        raise ValueError("a parameter is one text, number or true/false")  # noqa: TRY004 - pydantic takes only this
    return value


Value = Annotated[Any, BeforeValidator(_scalar)]


class Trainer(Settings):
    """Ray Train's workers inside the cluster. `workers` defaults to one for each Ray worker."""

    workers: Positive | None = None
    cpus_per_worker: Positive = 1
    gpus_per_worker: Count = 0


class TrainSettings(Settings):
    """`deadlineSeconds` counts per attempt, as KubeRay does; `retries` attempts follow the first.

    With a `schedule` the stack starts no run itself, and waits for none.
    """

    run: Name = "train"
    entrypoint: str
    parameters: dict[str, Value] = Field(default_factory=dict[str, Value])
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    workers: Workers
    head: Head = Head()
    trainer: Trainer = Trainer()
    image: Image | None = None
    deadline_seconds: Seconds = 3600
    retries: Annotated[int, Field(ge=0, le=100)] = 1
    ttl_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    preemption: Preemption = Preemption()
    wait: bool = True
    schedule: Schedule | None = None
    bundle: str = "payloads"

    @field_validator("entrypoint")
    @classmethod
    def _is_a_module(cls, value: str) -> str:
        if not _MODULE.fullmatch(value):
            raise ValueError("an entrypoint is a Python module that runs with -m, as payloads.training.train")
        return value

    @field_validator("parameters")
    @classmethod
    def _are_flags(cls, value: dict[str, Value]) -> dict[str, Value]:
        for name in value:
            if not _PARAMETER.fullmatch(name):
                raise ValueError(f"parameter {name!r} is no flag: use lower-case letters, digits and underscores")
            if name in RESERVED_PARAMETERS:
                raise ValueError(f"parameter {name} comes from run, workers and trainer: set it there")
        return value

    @model_validator(mode="after")
    def _gpus_are_used(self) -> TrainSettings:
        if self.trainer.gpus_per_worker > self.workers.gpus:
            raise ValueError(
                f"trainer.gpusPerWorker {self.trainer.gpus_per_worker} is more than workers.gpus {self.workers.gpus}: "
                "no Ray worker could hold a training worker"
            )
        return self

    @property
    def training_workers(self) -> int:
        return self.trainer.workers or self.workers.most
