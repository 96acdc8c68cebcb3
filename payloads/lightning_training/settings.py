"""Parameters of a training by Lightning; flags of `python -m payloads.lightning_training.train`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from payloads.training.settings import FitSettings


class LightningSettings(FitSettings):
    """All parameters of a run. The names are those of `payloads.training`, Lightning's own beside them."""

    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field(
        default="32-true", description="Lightning's precision: 32-true, bf16-mixed, or 16-mixed on GPUs"
    )
    accumulate: int = Field(
        default=1, ge=1, le=4096, description="steps whose gradients are added up before the weights change"
    )
