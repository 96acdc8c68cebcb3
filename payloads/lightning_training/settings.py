"""Parameters of a training by Lightning; flags of `python -m payloads.lightning_training.train`."""

from __future__ import annotations

from pydantic import Field

from payloads.training.settings import FitSettings, MlpSettings


class LightningSettings(MlpSettings, FitSettings):
    """All parameters of a run: those of `payloads.training` that Lightning has too, and its own."""

    accumulate: int = Field(
        default=1, ge=1, le=4096, description="steps whose gradients are added up before the weights change"
    )
