"""Parameters of continuous training; each is a flag of `python -m payloads.continuous.train`."""

from __future__ import annotations

from pydantic import Field, field_validator

from payloads.training.settings import TrainSettings

FOLDER_PATTERN = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$"


class ContinuousSettings(TrainSettings):
    """All parameters of a run. The split has fixed thresholds, so a row that was held out once is held out for ever."""

    dataset: str = Field(
        default="continuous/digits", pattern=FOLDER_PATTERN, description="folder of the partitions, below the storage"
    )
    classes: str = Field(
        default="0,1,2,3,4,5,6,7,8,9", description="every label that a row may have, with commas, in a fixed order"
    )
    replay: float = Field(
        default=1.0, ge=0, le=100, description="rows of earlier partitions that are trained on again, for each new row"
    )
    least_rows: int = Field(default=1, ge=1, description="new rows for training below which a run waits for more")
    alpha: float = Field(
        default=0.05, gt=0, lt=1, description="how unlikely a loss on earlier partitions must be to count as forgetting"
    )
    lease_s: float = Field(
        default=60, ge=1, le=3600, description="seconds without a sign of life after which a run counts as dead"
    )
    sample_days: int = Field(
        default=0, ge=0, le=10, description="write so many days of scikit-learn's digits there first; 0: none"
    )

    @field_validator("classes")
    @classmethod
    def _two_or_more(cls, value: str) -> str:
        names = value.split(",")
        if len(names) < 2 or len(set(names)) < len(names) or not all(names):
            raise ValueError("classes are two or more different labels with commas between them, as 0,1,2")
        return value

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.classes.split(","))
