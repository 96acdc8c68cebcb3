"""Parameters of the small summariser's training; each is a flag of `python -m payloads.text.train`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import MODEL_PATTERN
from payloads.training.epochs import EpochSettings


class TextSettings(EpochSettings):
    """All parameters of a run; a worker is a DDP rank."""

    experiment: str = Field(default="text", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="notes", pattern=MODEL_PATTERN, description="name on the storage")
    epochs: int = Field(default=30, ge=1, le=10_000, description="passes over the notes")
    batch_size: int = Field(default=32, ge=1, description="notes of a step, over all workers")
    lr: float = Field(default=5e-3, gt=0, le=1, description="peak learning rate of AdamW")

    notes: int = Field(default=2000, ge=10, le=10_000_000, description="made notes to learn from")
    data_seed: int = Field(default=7, ge=0, lt=2**31, description="seed of the made notes")
    validation_notes: int = Field(default=64, ge=1, description="other notes that are measured after each epoch")
    test_notes: int = Field(default=200, ge=1, description="other notes that the gate asks for")
    tokens: int = Field(default=400, ge=50, le=100_000, description="most tokens of the tokenizer")
    width: int = Field(default=64, ge=4, le=4096, multiple_of=4, description="numbers of a token's vector")
    layers: int = Field(default=2, ge=1, le=48, description="layers of the encoder, and of the decoder")
    gate_exact: float = Field(
        default=0.9, ge=0, le=1, description="least share of right summaries of a published model"
    )
