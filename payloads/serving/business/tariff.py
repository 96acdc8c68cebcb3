"""A carrier's price service, for where there is none to be had: `payloads.serving.business.tariff:app`.

Its prices are what a table says. The decision service asks it over HTTP as it would any other.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from payloads.serving.failures import Failure, RefusedError
from payloads.serving.http import JsonApi


class TariffArgs(BaseModel):
    """`args` of `payloads.serving.business.tariff:app`: what a parcel to each zone costs, and each begun kilogram."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zones: dict[int, int] = Field(
        default={zone: 450 + 150 * zone for zone in range(1, 10)}, description="zone to cents; others are not served"
    )
    cents_per_kg: int = Field(default=90, ge=0)


class Price(BaseModel):
    price_cents: int


class Tariff:
    """One replica."""

    def __init__(self, args: TariffArgs) -> None:
        self.args = args

    def __serve_build_asgi_app__(self) -> ASGIApp:
        api = JsonApi([], 1024, title="A carrier's prices")
        refusals = {404: "the zone is not served", 422: "a parameter is missing or of another form"}
        api.add_api_route(
            "/quote",
            self.quote,
            methods=["GET"],
            summary="What a parcel costs",
            responses={status: {"model": Failure, "description": text} for status, text in refusals.items()},
        )
        return api

    async def quote(
        self, zone: Annotated[int, Query(ge=0, le=99)], weight_kg: Annotated[float, Query(gt=0, le=1000)]
    ) -> Price:
        """Raises RefusedError (404) for a zone that the table lacks."""
        base = self.args.zones.get(zone)
        if base is None:
            raise RefusedError(404, "zone: it is not served", "zone_not_served")
        return Price(price_cents=base + self.args.cents_per_kg * math.ceil(weight_kg))


deployment = serve.deployment(
    name="tariff", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=20,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10,
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(serve.ingress()(Tariff))  # fmt: skip


def app(args: dict[str, Any] | TariffArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see TariffArgs)."""
    return deployment.bind(TariffArgs.model_validate(args))
