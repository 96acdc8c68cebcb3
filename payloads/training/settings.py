"""Parameters of digits models; those of a training are flags of `python -m payloads.training.train`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from payloads.common.settings import MODEL_PATTERN, RunSettings

Precision = Literal["float32", "bf16", "fp16"]


class GateSettings(RunSettings):
    """What every run that ends with a model says: where it goes, what it must reach."""

    experiment: str = Field(min_length=1, description="MLflow experiment")
    model_name: str = Field(pattern=MODEL_PATTERN, description="name in the model registry")
    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of weights, dropout and batch order")
    gate_accuracy: float = Field(default=0.95, ge=0, le=1, description="least test accuracy of a registered model")


class DigitsSettings(GateSettings):
    """What every run that ends with a digits model says beside that: how the rows are split."""

    experiment: str = Field(default="digits", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="digits", pattern=MODEL_PATTERN, description="name in the model registry")

    split_seed: int = Field(
        default=42, ge=0, lt=2**31, description="seed of the split; models are comparable only under one split"
    )
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows for validation")
    test_fraction: float = Field(default=0.15, gt=0, lt=0.5, description="share of rows held out for the gate")


class FitSettings(GateSettings):
    """What every training by gradient descent says, whatever loop it runs in; a worker is a DDP rank.

    Runs of one name with different values are different runs.
    """

    max_failures: int = Field(default=3, ge=0, description="worker failures survived; preemptions are not counted")

    epochs: int = Field(default=20, ge=1, le=10_000, description="passes over the train split")
    batch_size: int = Field(default=64, ge=1, description="rows of a step, over all workers")
    lr: float = Field(default=1e-3, gt=0, le=1, description="peak learning rate of AdamW")
    weight_decay: float = Field(default=1e-4, ge=0, le=1, description="weight decay of AdamW")
    gradient_clip: float = Field(default=1.0, gt=0, description="largest gradient norm")

    patience: int = Field(
        default=0, ge=0, description="epochs without a better validation loss after which training ends; 0: never"
    )
    deterministic: bool = Field(
        default=False, description="only kernels that repeat to the last bit; an error where there is none"
    )
    precision: Precision = Field(
        default="float32", description="float32, or bf16 or fp16 (GPUs only) where autocast takes it"
    )
    checkpoints_kept: int = Field(default=3, ge=1, description="checkpoints kept, best validation loss first")

    @model_validator(mode="after")
    def _every_worker_gets_a_row(self) -> FitSettings:
        if self.batch_size < self.num_workers:
            raise ValueError(
                f"batch_size {self.batch_size} is less than num_workers {self.num_workers}: a worker idles"
            )
        return self

    @model_validator(mode="after")
    def _precision_is_there(self) -> FitSettings:
        if self.precision == "fp16" and not self.gpus_per_worker:
            raise ValueError("precision fp16 needs gpus_per_worker: on CPUs choose bf16")
        return self

    @property
    def rows_per_worker(self) -> int:
        """Rows of one step on one worker."""
        return self.batch_size // self.num_workers


class LoopSettings(FitSettings):
    """What the training loop of `payloads.training.loop` says, whatever network it trains."""

    pieces: int = Field(
        default=1, ge=1, le=4096, description="parts that a worker's rows of a step go through the model in"
    )
    compile: bool = Field(default=False, description="compile the network (torch.compile); needs a C++ compiler")
    drain_check_steps: int = Field(
        default=20, ge=0, description="steps between two looks for a notice that a node goes away; 0: never"
    )


class MlpSettings(DigitsSettings):
    """The network of the digits classifier."""

    dropout: float = Field(default=0.3, ge=0, lt=1, description="dropout after each hidden layer")
    hidden: int = Field(default=512, ge=1, le=65_536, description="units of a hidden layer")
    depth: int = Field(default=3, ge=1, le=64, description="hidden layers")


class TrainSettings(MlpSettings, LoopSettings):
    """All parameters of a run of the digits classifier."""

    cache_shard: bool = Field(
        default=True, description="keep a worker's shard in its memory; false streams it from Ray Data every epoch"
    )
