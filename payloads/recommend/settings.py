"""Parameters of a recommender's training; each is a flag of `python -m payloads.recommend.train`."""

from __future__ import annotations

from pydantic import Field

from payloads.common.settings import MODEL_PATTERN
from payloads.training.epochs import EpochSettings


class RecommendSettings(EpochSettings):
    """All parameters of a run; a worker is a DDP rank."""

    experiment: str = Field(default="recommend", min_length=1, description="MLflow experiment")
    model_name: str = Field(default="recommend", pattern=MODEL_PATTERN, description="name in the model registry")
    epochs: int = Field(default=12, ge=1, le=10_000, description="passes over the train interactions")
    batch_size: int = Field(default=1024, ge=2, description="interactions of a step, over all workers")
    lr: float = Field(default=1e-2, gt=0, le=1, description="peak learning rate of AdamW")

    source: str | None = Field(
        default=None,
        description="folder with interactions/ and items/ as Parquet; without it, made ones",
    )
    users: int = Field(default=3000, ge=1, le=10_000_000, description="users of the made interactions")
    items: int = Field(default=1500, ge=10, le=10_000_000, description="items of the made interactions")
    history: int = Field(default=40, ge=4, le=1000, description="interactions of each made user")
    data_seed: int = Field(default=7, ge=0, lt=2**31, description="seed of the made interactions")

    dim: int = Field(default=32, ge=2, le=1024, description="numbers of a retrieval vector")
    rank_dim: int = Field(default=16, ge=2, le=1024, description="numbers of each of the ranker's embeddings")
    negatives: int = Field(default=16, ge=1, le=4096, description="drawn items that a row is told from in ranking")
    held_out: int = Field(default=2, ge=1, le=100, description="last interactions of each user that the gate asks for")
    k: int = Field(default=10, ge=1, le=1000, description="recommendations that the gate looks at")
    candidates: int = Field(default=100, ge=1, le=10_000, description="neighbours that are ranked")
    gate_lift: float = Field(
        default=1.5, ge=0, description="least recall of a registered model, as a multiple of that of the most popular"
    )
