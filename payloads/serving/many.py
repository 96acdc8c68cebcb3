"""Many models on few replicas: `payloads.serving.many:app`.

A replica keeps the models that were asked for last and drops the one that was not asked for longest. Requests for a
model go to a replica that has it, if one has. One image may be shown to several models in one request.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Annotated, Any

import numpy as np
import ray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from payloads.common.settings import read_platform
from payloads.serving import model, schemas
from payloads.serving.answers import Prediction
from payloads.serving.gather import gather
from payloads.serving.http import JsonApi, RefusedError, Route
from payloads.serving.schemas import Pixels

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)


class ManyArgs(BaseModel):
    """`args` of `payloads.serving.many:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: list[str] = Field(min_length=1, max_length=1000, description="names in the registry that may be asked for")
    alias: str = Field(default="champion", min_length=1, description="alias of the versions to serve")
    kept: int = Field(default=3, ge=1, description="models that one replica keeps in memory")
    deadline_s: float = Field(default=10.0, gt=0, le=120, description="for an answer, a model's first load included")
    max_body_bytes: int = Field(default=1 << 16, ge=1024, description="largest request body")
    max_batch_size: int = Field(default=64, ge=1, le=4096, description="rows of one forward pass")

    @field_validator("models")
    @classmethod
    def _differ(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a model is listed twice")
        return value


class TagRequest(BaseModel):
    """One image, and the models that are to say what it is."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    models: Annotated[list[str], Field(min_length=1, max_length=20)]
    pixels: Pixels


class Tag(Prediction):
    """What one model says."""

    model_config = ConfigDict(protected_namespaces=())

    model_version: str


class TagAnswer(BaseModel):
    """`tags` by model; `missing` are models that failed or were late."""

    tags: dict[str, Tag]
    missing: dict[str, str]
    request_id: str


_validate = TypeAdapter(TagRequest).validate_json


def parse(body: bytes, known: frozenset[str]) -> TagRequest:
    """A request for known models. Raises RefusedError: 400 not JSON, 404 an unknown model, 422 another form."""
    if not body:
        raise RefusedError(400, 'the body is empty: send {"models": [names], "pixels": [64 numbers]} as JSON')
    try:
        request = _validate(body)
    except ValidationError as error:
        raise schemas.refused(error, "models and pixels", "models and pixels") from None
    if len(set(request.models)) != len(request.models):
        raise RefusedError(422, "models: a model is named twice")
    if not known.issuperset(request.models):
        raise RefusedError(404, "models: one is not served here, see /models")
    return request


class Host:
    """A replica that holds up to `kept` models, each loaded when it is first asked for."""

    def __init__(self, args: ManyArgs) -> None:
        self.args = args
        self.platform = read_platform()
        self.device = model.claim_device(ray.get_runtime_context().get_assigned_resources())

        async def load(model_id: str) -> model.ServedModel:
            # In a thread: other models' requests are answered while one is fetched.
            return await asyncio.to_thread(self._load, model_id)

        self.model = serve.multiplexed(max_num_models_per_replica=args.kept)(load)

    async def tag(self, rows: np.ndarray) -> dict[str, Any]:
        """What the model that the request is for says of one row."""
        held = await self.model(serve.get_multiplexed_model_id())
        found = held.predict(rows)
        return {
            "label": held.card.classes[found.classes[0]],
            "confidence": round(min(found.confidences[0], 1.0), 6),
            "model_version": held.card.model_version,
        }

    def _load(self, name: str) -> model.ServedModel:
        return model.load(self.platform, name, self.args.alias, self.device, self.args.max_batch_size)


class Many:
    """The ingress."""

    def __init__(self, args: ManyArgs, host: DeploymentHandle) -> None:
        self.args = args
        self.host = host

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/tag",
            summary="Ask several models about one image",
            parse=partial(parse, known=frozenset(self.args.models)),
            answer=self.answer,
            request_schema=self._request_schema(),
            response_model=TagAnswer,
            deadline_s=self.args.deadline_s + 1,
            refusals={404: "a model is not served here"},
        )
        api = JsonApi([route], self.args.max_body_bytes, title="Handwritten digits by many models")
        api.add_api_route("/models", self.models, methods=["GET"], summary="Which models may be asked")
        return api

    async def answer(self, request: TagRequest, request_id: str) -> bytes:
        """The body of a 200; raises RefusedError with 503 if no model answered."""
        rows = np.array([request.pixels], np.float32)
        found = await gather({name: self._ask(name, rows) for name in request.models}, self.args.deadline_s)
        if not found.answers:
            raise RefusedError(503, "none of the models answered: try again")
        return json.dumps({"tags": found.answers, "missing": found.missing, "request_id": request_id}).encode()

    def _request_schema(self) -> dict[str, Any]:
        schema = TagRequest.model_json_schema()
        schema["properties"]["models"] |= {"uniqueItems": True, "items": {"enum": self.args.models}}
        return schema

    async def models(self) -> list[str]:
        return self.args.models

    async def _ask(self, name: str, rows: np.ndarray) -> dict[str, Any]:
        return await self.host.options(multiplexed_model_id=name).tag.remote(rows)


host_deployment = serve.deployment(
    name="host", max_ongoing_requests=64, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(Host)  # fmt: skip
deployment = serve.deployment(
    name="many", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(serve.ingress()(Many))  # fmt: skip


def app(args: dict[str, Any] | ManyArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see ManyArgs)."""
    settings = ManyArgs.model_validate(args)
    return deployment.bind(settings, host_deployment.bind(settings))
