"""What keeps data on AWS: buckets, images, the database, and the money that all of it costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from infra.settings.base import Positive, Settings

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$")]


class StorageSettings(Settings):
    """`prefix` starts the buckets' names, which are unique among all AWS accounts: empty means manta-<account>.

    `keepOnDestroy` leaves buckets and their content when the stack is destroyed; otherwise both are deleted."""

    prefix: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{1,35}$")
    keep_on_destroy: bool = True
    checkpoint_days: Positive = 30
    noncurrent_days: Positive = 7


class RegistrySettings(Settings):
    """How many images the registry keeps; older ones go, tagged or not."""

    keep_images: Positive = 50
    scan: bool = True


class DatabaseSettings(Settings):
    """PostgreSQL for MLflow."""

    instance: str = Field(default="db.t4g.small", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    version: str = Field(default="17.6", pattern=r"^\d+\.\d+$")
    size_gib: Annotated[int, Field(ge=20, le=65_536)] = 20
    multi_az: bool = True
    deletion_protection: bool = True
    backup_days: Annotated[int, Field(ge=0, le=35)] = 7


class BudgetSettings(Settings):
    """A monthly budget in US dollars; mails go out at the percentages, of what was spent and of the forecast."""

    monthly_usd: Annotated[int, Field(ge=1, le=10_000_000)]
    emails: list[Email] = Field(min_length=1, max_length=10)
    actual_percent: list[Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=lambda: [50, 80, 100])
    forecast_percent: list[Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=lambda: [100])

    @model_validator(mode="after")
    def _is_few(self) -> BudgetSettings:
        if len(self.actual_percent) + len(self.forecast_percent) > 5:
            raise ValueError("AWS lets a budget have five alerts: give fewer percentages")
        return self
