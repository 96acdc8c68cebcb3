"""Online features over HTTP: `payloads.serving.store:app`.

What Redis does not give in time is answered by defaults that are marked as such; a request never waits longer than the
timeout, and never fails for want of a feature.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig
from ray.util.metrics import Counter
from starlette.types import ASGIApp

from payloads.common.settings import read_platform
from payloads.serving import schemas
from payloads.serving.http import JsonApi, RefusedError, Route
from payloads.store.settings import PROJECT_PATTERN, read_redis

logger = logging.getLogger("ray.serve")
Key = Annotated[int, Field(ge=0, lt=2**63)]


class StoreArgs(BaseModel):
    """`args` of `payloads.serving.store:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str = Field(default="shop", pattern=PROJECT_PATTERN, description="Feast project")
    service: str = Field(default="purchase", min_length=1, description="feature service: which features are answered")
    timeout_s: float = Field(default=0.05, gt=0, le=10, description="how long Redis may take; then come the defaults")
    refresh_s: float = Field(default=60.0, gt=0, le=3600, description="how often the registry is read anew")
    # A row costs 0.2 ms of the event loop, in which all other requests wait.
    max_rows: int = Field(default=64, ge=1, le=1000, description="most entities of one request")
    max_body_bytes: int = Field(default=1 << 16, ge=1024, description="largest request body")


class FeaturesRequest(BaseModel):
    """The entities, each with every key of the service: `{"user_id": 1, "item_id": 2}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rows: Annotated[list[dict[str, Key]], Field(min_length=1)]


class FeaturesOf(BaseModel):
    """`defaults` are the views whose features had to be defaults, and why: missing, expired, late, failed, paused."""

    features: dict[str, int | float | str | bool]
    defaults: dict[str, str]


class FeaturesAnswer(BaseModel):
    """One element for each row of the request, in its order."""

    rows: list[FeaturesOf]
    request_id: str


_validate = TypeAdapter(FeaturesRequest).validate_json


def parse(body: bytes, max_rows: int) -> FeaturesRequest:
    """Raises RefusedError: 400 not JSON, 422 another form."""
    try:
        request = _validate(body)
    except ValidationError as error:
        # The place may hold a key of the client's choosing, so it is not told.
        if any(len(each["loc"]) > 2 for each in error.errors(include_url=False, include_input=False)):
            raise RefusedError(422, "rows: a row is not an object of whole numbers from 0 to 2^63 - 1") from None
        raise schemas.refused(error, "rows", "rows") from None
    if len(request.rows) > max_rows:
        raise RefusedError(422, f"rows holds more than {max_rows} entities: send them in several requests")
    return request


class Store:
    """One replica."""

    def __init__(self, args: StoreArgs) -> None:
        from payloads.store.online import OnlineFeatures
        from payloads.store.repository import open_store, registry_uri

        self.args = args
        platform = read_platform()
        about = "Entities whose features of a view were asked for, by what came of it."
        counter = Counter("manta_store_lookups", about, ("view", "outcome"))
        store = open_store(registry_uri(platform, args.project), args.project, read_redis(), args.timeout_s)
        self.online = OnlineFeatures(
            store,
            args.service,
            args.timeout_s,
            lambda view, outcome, entities: counter.inc(entities, {"view": view, "outcome": outcome}),
        )
        self.refreshing: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/features",
            summary="The latest features of entities",
            parse=lambda body: parse(body, self.args.max_rows),
            answer=self.answer,
            request_schema=FeaturesRequest.model_json_schema(),
            response_model=FeaturesAnswer,
            deadline_s=self.args.timeout_s + 5,
        )
        api = JsonApi([route], self.args.max_body_bytes, title=f"Features for {self.args.service}")
        api.add_api_route("/service", self.service, methods=["GET"], summary="Keys, features and their defaults")
        return api

    async def answer(self, request: FeaturesRequest, request_id: str) -> bytes:
        if self.refreshing is None:
            self.refreshing = asyncio.get_running_loop().create_task(self._keep_refreshing())
        keys = set(self.online.plan.keys)
        if any(set(row) != keys for row in request.rows):
            raise RefusedError(422, f"rows: a row has not the keys {', '.join(sorted(keys))}")
        found = await self.online.read(request.rows)
        rows = [{"features": each.values, "defaults": each.defaults} for each in found]
        return json.dumps({"rows": rows, "request_id": request_id}).encode()

    async def service(self) -> dict[str, Any]:
        plan = self.online.plan
        return {"keys": plan.keys, "views": {view.name: view.defaults for view in plan.views}}

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self.args.refresh_s)
            try:
                await asyncio.to_thread(self.online.refresh)
            except Exception as error:  # object storage is away: the definitions in hand are good
                logger.warning("the registry could not be read anew: %r", error)


deployment = serve.deployment(
    name="store", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10,
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(serve.ingress()(Store))  # fmt: skip


def app(args: dict[str, Any] | StoreArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see StoreArgs)."""
    return deployment.bind(StoreArgs.model_validate(args))
