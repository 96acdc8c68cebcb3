"""Parameters of digits models; those of a training are flags of `python -m payloads.training.train`."""

from __future__ import annotations

from pydantic import Field, model_validator

from payloads.common.settings import MODEL_PATTERN, RunSettings


class DigitsSettings(RunSettings):
    """What every run that ends with a digits model says: where it goes, how it is judged, what it must reach."""

    experiment: str = Field(default="digits", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="digits", pattern=MODEL_PATTERN, description="name in the model registry")
    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of weights, dropout and batch order")
    split_seed: int = Field(
        default=42, ge=0, lt=2**31, description="seed of the split; models are comparable only under one split"
    )
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows for validation")
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows held out for the gate")
    gate_accuracy: float = Field(default=0.95, ge=0, le=1, description="least test accuracy of a registered model")


class FitSettings(DigitsSettings):
    """What every way of training the classifier by gradient descent has; a worker is a DDP rank.

    Runs of one name with different values are different runs.
    """

    max_failures: int = Field(default=3, ge=0, description="worker failures survived; preemptions are not counted")

    epochs: int = Field(default=20, ge=1, le=10_000, description="passes over the train split")
    batch_size: int = Field(default=64, ge=1, description="rows of a step, over all workers")
    lr: float = Field(default=1e-3, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="weight decay of AdamW")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="dropout after each hidden layer")
    hidden: int = Field(default=512, ge=1, le=65_536, description="units of a hidden layer")
    depth: int = Field(default=3, ge=1, le=64, description="hidden layers")
    gradient_clip: float = Field(default=1.0, gt=0, description="largest gradient norm")

    patience: int = Field(
        default=0, ge=0, description="epochs without a better validation loss after which training ends; 0: never"
    )
    deterministic: bool = Field(
        default=False, description="only kernels that repeat to the last bit; an error where there is none"
    )
    checkpoints_kept: int = Field(default=3, ge=1, description="checkpoints kept, best validation loss first")

    @model_validator(mode="after")
    def _every_worker_gets_a_row(self) -> FitSettings:
        if self.batch_size < self.num_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than num_workers {self.num_workers}: a worker idles"
            )
        return self

    @property
    def rows_per_worker(self) -> int:
        """Rows of one step on one worker."""
        return self.batch_size // self.num_workers


class TrainSettings(FitSettings):
    """All parameters of a run of `payloads.training.train`."""

    cache_shard: bool = Field(
        default=True, description="keep a worker's shard in its memory; false streams it from Ray Data every epoch"
    )
    pieces: int = Field(
        default=1, ge=1, le=4096, description="parts that a worker's rows of a step go through the model in"
    )
    drain_check_steps: int = Field(
        default=20, ge=0, description="steps between two looks for a notice that a node goes away; 0: never"
    )
