"""Parameters of the scene models' training; each is a flag of `python -m payloads.vision.train`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import MODEL_PATTERN, RunSettings


class VisionSettings(RunSettings):
    """All parameters of a run; a worker trains one of the two models."""

    num_workers: int = Field(default=2, ge=1, le=2, description="models trained at once")
    experiment: str = Field(default="scenes", min_length=1, description="MLflow experiment")
    detector_name: str = Field(
        default="scenes-detector", pattern=MODEL_PATTERN, description="name of the detector in the model registry"
    )
    reader_name: str = Field(
        default="scenes-reader", pattern=MODEL_PATTERN, description="name of the reader in the model registry"
    )
    seed: int = Field(default=42, ge=0, lt=2**31, description="seed of weights and training scenes")
    split_seed: int = Field(
        default=42, ge=0, lt=2**31, description="seed of the split; models are comparable only under one split"
    )

    epochs: int = Field(default=6, ge=1, le=10_000, description="epochs, each of new scenes")
    scenes: int = Field(default=1024, ge=1, description="scenes of an epoch")
    batch_size: int = Field(default=16, ge=2, description="scenes of a step")
    lr: float = Field(default=3e-3, gt=0, le=1, description="peak learning rate of AdamW")
    detector_width: int = Field(default=32, ge=4, le=1024, description="channels of the detector's layers")
    reader_width: int = Field(default=16, ge=4, le=1024, description="channels of the reader's first layer")

    test_scenes: int = Field(default=300, ge=10, description="held-out scenes that the gate judges by")
    gate_f1: float = Field(default=0.95, ge=0, le=1, description="least F1 of the detector at IoU 0.5")
    gate_accuracy: float = Field(default=0.95, ge=0, le=1, description="least share of digits that the reader reads")
    gate_points: float = Field(
        default=1.5, gt=0, description="largest mean error of the reader's points, in pixels of the 96 x 96 canvas"
    )
