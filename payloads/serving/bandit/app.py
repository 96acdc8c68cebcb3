"""The bandit over HTTP: `payloads.serving.bandit.app:app`.

Replicas choose by a copy of the policy that they renew every second, and remember nothing of a decision: the client
gets it as a token and sends that back with the reward. A reward is answered when it is safe on object storage.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from payloads.serving import schemas
from payloads.serving.bandit import learner, token
from payloads.serving.bandit.linucb import Policy, Update
from payloads.serving.http import JsonApi, RefusedError, Route

logger = logging.getLogger("ray.serve")
RENEW_S = 1.0
Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class BanditArgs(BaseModel):
    """`args` of `payloads.serving.bandit.app:app`. Another number of arms or features is another bandit: rename it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="name; what was learned lies under it on storage")
    arms: list[str] = Field(min_length=2, max_length=100, description="what is chosen from: models, pages, prices")
    features: int = Field(ge=1, le=200, description="numbers that describe a context")
    explore: float = Field(default=0.5, ge=0, le=10, description="weight of what is not known yet")
    learn_deadline_s: float = Field(default=10.0, gt=0, le=120, description="how long a reward may take to be safe")
    max_body_bytes: int = Field(default=1 << 16, ge=1024, description="largest request body")

    @field_validator("arms")
    @classmethod
    def _differ(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("an arm is listed twice")
        return value


class ChooseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    context: Annotated[list[Finite], Field(min_length=1, max_length=200)]


class ChooseAnswer(BaseModel):
    """`updates` are the rewards that the policy has learned from."""

    arm: str
    decision: str
    updates: int
    request_id: str


class FeedbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Annotated[str, Field(min_length=1, max_length=10_000)]
    reward: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class FeedbackAnswer(BaseModel):
    """The reward is on storage. Sent again, it counts once."""

    arm: str
    request_id: str


_choose, _feedback = TypeAdapter(ChooseRequest).validate_json, TypeAdapter(FeedbackRequest).validate_json


def parse_choose(body: bytes, features: int) -> np.ndarray:
    """The context, float64 [features]; raises RefusedError."""
    try:
        request = _choose(body)
    except ValidationError as error:
        raise schemas.refused(error, "context", "context") from None
    if len(request.context) != features:
        raise RefusedError(422, f"context: it has not {features} numbers")
    return np.asarray(request.context, np.float64)


def parse_feedback(body: bytes) -> FeedbackRequest:
    try:
        return _feedback(body)
    except ValidationError as error:
        raise schemas.refused(error, "decision and reward", "decision and reward") from None


class Bandit:
    """One replica."""

    def __init__(self, args: BanditArgs) -> None:
        self.args = args
        self.learner = learner.find_or_start(args.name, len(args.arms), args.features)
        self.key = b""
        self.policy = Policy(np.zeros((0, 0)), np.zeros((0, 0, 0)))
        self.updates = 0
        self.renewing: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        choose = Route(
            path="/choose",
            summary="Choose an arm in a context",
            parse=partial(parse_choose, features=self.args.features),
            answer=self.choose,
            request_schema=self._request_schema(),
            response_model=ChooseAnswer,
            deadline_s=self.args.learn_deadline_s,
        )
        feedback = Route(
            path="/feedback",
            summary="Say what came of a decision, between 0 and 1",
            parse=parse_feedback,
            answer=self.feedback,
            request_schema=FeedbackRequest.model_json_schema(),
            response_model=FeedbackAnswer,
            deadline_s=self.args.learn_deadline_s,
        )
        return JsonApi([choose, feedback], self.args.max_body_bytes, title=f"Bandit {self.args.name}")

    def _request_schema(self) -> dict[str, Any]:
        schema = ChooseRequest.model_json_schema()
        schema["properties"]["context"] |= {"minItems": self.args.features, "maxItems": self.args.features}
        return schema

    async def choose(self, context: np.ndarray, request_id: str) -> bytes:
        await self._ready()
        arm = self.policy.choose(context, self.args.explore)
        decision = token.seal(self.key, arm, context)
        answer = {"arm": self.args.arms[arm], "decision": decision, "updates": self.updates, "request_id": request_id}
        return json.dumps(answer).encode()

    async def feedback(self, request: FeedbackRequest, request_id: str) -> bytes:
        await self._ready()
        name, arm, context = token.unseal(self.key, request.decision)
        if arm >= len(self.args.arms) or len(context) != self.args.features:
            raise RefusedError(422, "decision: it was given by a bandit of this name with other arms or features")
        await self.learner.learn.remote(Update(name, arm, context, request.reward))
        return json.dumps({"arm": self.args.arms[arm], "request_id": request_id}).encode()

    async def _ready(self) -> None:
        """The first request waits for a policy; after that it is renewed beside the requests."""
        if self.renewing is None:
            self.key = await self.learner.key.remote()
            await self._renew()
            self.renewing = asyncio.get_running_loop().create_task(self._keep_renewing())

    async def _renew(self) -> None:
        self.updates, self.policy = await self.learner.policy.remote()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(Exception):  # the learner is being started again: the policy in hand is good
                await self._renew()


deployment = serve.deployment(
    name="bandit", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10,
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(serve.ingress()(Bandit))  # fmt: skip


def app(args: dict[str, Any] | BanditArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see BanditArgs)."""
    return deployment.bind(BanditArgs.model_validate(args))
