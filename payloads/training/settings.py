"""Parameters of a digits training; each is a flag of `python -m payloads.training.train`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


class TrainSettings(BaseModel):
    """All parameters of a run. Two runs of one name with different values here are different runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_name: str = Field(pattern=NAME_PATTERN, description="name of the run: lower case letters, digits and dashes")
    experiment: str = Field(default="digits", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="digits", pattern=r"^[A-Za-z0-9_-]+$", description="name in the model registry")

    num_workers: int = Field(default=2, ge=1, le=1024, description="training workers (DDP ranks)")
    cpus_per_worker: float = Field(default=1, gt=0, description="CPUs of a worker")
    gpus_per_worker: float = Field(default=0, ge=0, description="GPUs of a worker; 0 trains on CPU")
    max_failures: int = Field(default=3, ge=0, description="worker failures survived; preemptions are not counted")

    epochs: int = Field(default=20, ge=1, le=10_000, description="passes over the train split")
    batch_size: int = Field(default=64, ge=1, description="rows of a step, over all workers")
    lr: float = Field(default=1e-3, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="weight decay of AdamW")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="dropout after each hidden layer")
    hidden: int = Field(default=512, ge=1, le=65_536, description="units of a hidden layer")
    depth: int = Field(default=3, ge=1, le=64, description="hidden layers")
    gradient_clip: float = Field(default=1.0, gt=0, description="largest gradient norm")
    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of weights, dropout and batch order")

    split_seed: int = Field(
        default=42, ge=0, lt=2**31, description="seed of the split; models are comparable only under one split"
    )
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows for validation")
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows held out for the gate")
    cache_shard: bool = Field(
        default=True, description="keep a worker's shard in its memory; false streams it from Ray Data every epoch"
    )
    checkpoints_kept: int = Field(default=3, ge=1, description="checkpoints kept, best validation loss first")
    gate_accuracy: float = Field(default=0.95, ge=0, le=1, description="least test accuracy of a registered model")

    @model_validator(mode="after")
    def _every_worker_gets_a_row(self) -> TrainSettings:
        if self.batch_size < self.num_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than num_workers {self.num_workers}: a worker idles"
            )
        return self

    @property
    def rows_per_worker(self) -> int:
        """Rows of one step on one worker."""
        return self.batch_size // self.num_workers
