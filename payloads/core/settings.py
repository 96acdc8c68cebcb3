"""Parameters of the Ray Core run; each is a flag of `python -m payloads.core.prove`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import RunSettings


class CoreSettings(RunSettings):
    """All parameters of a run; a worker is a task at a time."""

    num_workers: int = Field(default=4, ge=1, le=1024, description="tasks at once")
    experiment: str = Field(default="core", min_length=1, description="MLflow experiment")

    shards: int = Field(default=100, ge=1, le=100_000, description=".npy shards to normalise")
    shard_rows: int = Field(default=2_000, ge=2, description="rows of a shard")
    shard_columns: int = Field(default=64, ge=1, description="columns of a shard")

    parameters: int = Field(default=10_000, ge=1, description="float32 numbers in the parameter server")
    steps: int = Field(default=100, ge=1, description="gradients that each worker pushes")
    queue: int = Field(default=8, ge=1, description="gradients that may wait in the parameter server")
    in_flight: int = Field(default=4, ge=1, description="pushes of one worker that may be unanswered")

    matrix_rows: int = Field(default=500_000, ge=1, description="rows of the shared matrix; 10 M make 5.1 GB")
    matrix_columns: int = Field(default=128, ge=1, description="columns of the shared matrix, float32")
    slices: int = Field(default=8, ge=1, description="tasks that each read a slice of the shared matrix")
