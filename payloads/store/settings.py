"""Parameters of the feature store: a run's are flags, where Redis is comes from the platform."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from payloads.common.errors import PayloadError
from payloads.common.settings import RunSettings

# Feast puts the project into keys and names of its own, where it takes no dash.
PROJECT_PATTERN = r"^[a-z][a-z0-9_]{0,40}$"
ADDRESS, PASSWORD = "MANTA_REDIS", "MANTA_REDIS_PASSWORD"


class StoreSettings(RunSettings):
    """All parameters of a run; a worker joins the labels of one file at a time."""

    experiment: str = Field(default="store", min_length=1, description="MLflow experiment")
    project: str = Field(default="shop", pattern=PROJECT_PATTERN, description="Feast project")
    sources: str | None = Field(
        default=None, pattern=r"^[^/].*$", description="folder with a folder of Parquet for each view, and `labels`"
    )
    sample_days: int = Field(default=0, ge=0, le=365, description="days of made data to write first; 0 writes none")
    sample_users: int = Field(default=1000, ge=1, le=10**7, description="users in the made data; half as many items")
    until: datetime | None = Field(
        default=None, description="what serving is to know is older than this; unset: the last midnight, UTC"
    )
    lateness_hours: float = Field(
        default=48, ge=0, le=24 * 90, description="how long after its event a row may arrive and still reach serving"
    )
    as_known: bool = Field(
        default=True, description="join a label only with what had arrived by then; false counts what came later too"
    )

    @field_validator("until")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)

    @property
    def folder(self) -> str:
        """The sources' folder under the storage root."""
        return self.sources or f"store/{self.project}/sources"


class Redis(BaseModel):
    """Where the latest values are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$", description="host:port")
    password: SecretStr | None = Field(default=None, description="of Redis's default user")

    @field_validator("password")
    @classmethod
    def _fits_into_a_connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().isalnum():
            raise ValueError("it has other characters than letters and digits, which Feast would cut at: use another")
        return value


def read_redis(environment: Mapping[str, str] = os.environ) -> Redis:
    """Read `Redis` from the environment; raises PayloadError that names the variable and never its value."""
    variables = {"address": ADDRESS, "password": PASSWORD}
    given = {field: environment[name] for field, name in variables.items() if environment.get(name)}
    try:
        return Redis.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = variables[str(first["loc"][0])]
        if first["type"] == "missing":
            raise PayloadError(
                f"environment variable {name} is not set: it is the host:port of Redis, which a platform with "
                "`redis: {enabled: true}` gives to Ray pods"
            ) from None
        raise PayloadError(f"environment variable {name} is not valid: {first['msg']}") from None
