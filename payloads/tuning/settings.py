"""Parameters of a search; each is a flag of `python -m payloads.tuning.tune`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from payloads.training.settings import DigitsSettings


class TuneSettings(DigitsSettings):
    """All parameters of a search; a worker is one trial at a time.

    `asha` draws trials by Optuna and stops those that fall behind. `pbt` trains a population in which the worst keep
    taking over weights and perturbed settings of the best; its members take turns on what the cluster holds.
    """

    search: Literal["asha", "pbt"] = Field(
        default="asha", description="asha: Optuna and early stops; pbt: a population"
    )
    samples: int = Field(default=50, ge=1, le=100_000, description="trials; with pbt the size of the population")
    epochs: int = Field(default=30, ge=1, le=10_000, description="most epochs of a trial")
    grace: int = Field(default=5, ge=1, description="epochs before a trial may be stopped (asha)")
    reduction: float = Field(default=3, gt=1, le=10, description="of this many trials one goes on at each rung (asha)")
    perturb_every: int = Field(default=5, ge=1, description="epochs between two comparisons of the population (pbt)")
    quantile: float = Field(default=0.25, gt=0, le=0.5, description="share that takes over, and is taken over (pbt)")
    trial_failures: int = Field(default=2, ge=0, description="failures that one trial survives")

    @model_validator(mode="after")
    def _can_compare(self) -> TuneSettings:
        if self.search == "asha" and self.grace > self.epochs:
            raise ValueError(f"grace {self.grace} is more than epochs {self.epochs}: no trial could be stopped")
        if self.search == "pbt" and self.samples < 2:
            raise ValueError("a population has two members or more: raise samples")
        if self.search == "pbt" and self.perturb_every >= self.epochs:
            raise ValueError(
                f"perturb_every {self.perturb_every} is not less than epochs {self.epochs}: nothing is taken over"
            )
        return self
