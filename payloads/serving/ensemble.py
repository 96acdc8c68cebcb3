"""Several models that answer together: `payloads.serving.ensemble:app`.

Members are deployments of their own, asked at once and scaled apart. One that is late or fails is left out of an answer
rather than waited for; a challenger in the shadow is asked after the answer and never heard.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig
from starlette.types import ASGIApp

from payloads.serving import member, schemas
from payloads.serving.answers import Prediction
from payloads.serving.combine import How, combine, sure
from payloads.serving.gather import Gathered, gather
from payloads.serving.http import JsonApi, RefusedError, Route
from payloads.serving.schemas import Parsed
from payloads.serving.settings import MemberArgs
from payloads.serving.shadow import Shadow


class EnsembleArgs(BaseModel):
    """`args` of `payloads.serving.ensemble:app`; an unknown key fails the deployment with its name.

    `select: all` asks every member. `select: cascade` asks the first member, and the others only where it is not sure:
    put the cheap one first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: list[MemberArgs] = Field(min_length=2, max_length=10)
    combine: How = "average"
    select: Literal["all", "cascade"] = "all"
    confident: float = Field(default=0.9, ge=0, le=1, description="probability from which the first member is enough")
    deadline_s: float = Field(default=0.25, gt=0, le=60, description="how long members are waited for")
    least_members: int = Field(default=1, ge=1, description="answers without which the request is refused")
    shadow: MemberArgs | None = None
    shadow_at_once: int = Field(default=16, ge=1, description="requests that the challenger may have unanswered")
    max_body_bytes: int = Field(default=1 << 20, ge=1024, description="largest request body")
    max_rows: int = Field(default=1024, ge=1, description="most rows of one request")

    @model_validator(mode="after")
    def _names_differ_and_suffice(self) -> EnsembleArgs:
        names = [each.name for each in [*self.members, *([self.shadow] if self.shadow else [])]]
        if len(set(names)) != len(names):
            raise ValueError("two members have one name")
        if self.least_members > len(self.members):
            raise ValueError(f"least_members {self.least_members} is more than there are members")
        return self


class EnsembleAnswer(BaseModel):
    """One prediction a row. `members` are the versions that took part, `missing` those that did not and why."""

    predictions: list[Prediction]
    members: dict[str, str]
    missing: dict[str, str]
    request_id: str


class Ensemble:
    """The ingress: it has no model, only handles to those that have one."""

    def __init__(
        self, args: EnsembleArgs, handles: dict[str, DeploymentHandle], shadow: DeploymentHandle | None
    ) -> None:
        self.args = args
        self.handles = handles
        self.weights = {each.name: each.weight for each in args.members}
        self.cards: dict[str, dict[str, Any]] = {}
        ask = partial(_ask, shadow) if shadow else None
        self.shadow = Shadow(ask, args.shadow_at_once, deadline_s=10) if ask else None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/predict",
            summary="Recognise one image or several by several models",
            parse=partial(schemas.parse, max_rows=self.args.max_rows),
            answer=self.answer,
            request_schema=schemas.request_schema(self.args.max_rows),
            response_model=EnsembleAnswer,
            # Members have their own deadline; this one is for a router that cannot reach any.
            deadline_s=2 * self.args.deadline_s + 1,
        )
        api = JsonApi([route], self.args.max_body_bytes, title="Handwritten digits by several models")
        api.add_api_route("/members", self.describe, methods=["GET"], summary="Which models answer")
        api.add_api_route("/shadow", self.compared, methods=["GET"], summary="How the challenger compares")
        return api

    async def answer(self, parsed: Parsed, request_id: str) -> bytes:
        """The body of a 200; raises RefusedError with 503 if too few members answered in time."""
        cards = await self.describe()
        found = await self._ask_members(parsed.rows)
        if len(found.answers) < self.args.least_members:
            raise RefusedError(
                503, f"{len(found.answers)} members answered in time and {self.args.least_members} are needed"
            )
        predictions = combine(found.answers, self.weights, self.args.combine)
        classes = cards[self.args.members[0].name]["classes"]
        if self.shadow is not None:
            self.shadow.show(parsed.rows, predictions.classes, request_id)
        return json.dumps(
            {
                "predictions": [
                    {"label": classes[place], "confidence": round(min(confidence, 1.0), 6)}
                    for place, confidence in zip(predictions.classes, predictions.confidences, strict=True)
                ],
                "members": {name: cards[name]["model_version"] for name in sorted(found.answers)},
                "missing": found.missing,
                "request_id": request_id,
            }
        ).encode()

    async def describe(self) -> dict[str, dict[str, Any]]:
        """Cards of all members, asked for once; raises RefusedError if their classes differ: they cannot be joined."""
        if not self.cards:
            cards = {name: await handle.card.remote() for name, handle in self.handles.items()}
            if len({tuple(card["classes"]) for card in cards.values()}) > 1:
                raise RefusedError(503, "the members do not know the same classes")
            self.cards = cards
        return self.cards

    async def compared(self) -> dict[str, int]:
        return self.shadow.report() if self.shadow else {}

    async def _ask_members(self, rows: np.ndarray) -> Gathered[np.ndarray]:
        first, *others = self.handles
        if self.args.select == "all":
            return await self._ask_each(list(self.handles), rows)
        found = await self._ask_each([first], rows)
        if found.answers and sure(found.answers[first], self.args.confident):
            return found
        rest = await self._ask_each(others, rows)
        return Gathered({**found.answers, **rest.answers}, {**found.missing, **rest.missing})

    async def _ask_each(self, names: list[str], rows: np.ndarray) -> Gathered[np.ndarray]:
        return await gather({name: _ask(self.handles[name], rows) for name in names}, self.args.deadline_s)


async def _ask(handle: DeploymentHandle, rows: np.ndarray) -> np.ndarray:
    return await handle.probabilities.remote(rows)


# The class stays a plain one, so that Ray ships its import path to the replicas and not its code.
deployment = serve.deployment(
    name="ensemble",
    max_ongoing_requests=256,
    max_queued_requests=512,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    graceful_shutdown_timeout_s=60,
    health_check_period_s=5,
    health_check_timeout_s=10,
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(serve.ingress()(Ensemble))


def app(args: dict[str, Any] | EnsembleArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see EnsembleArgs)."""
    settings = EnsembleArgs.model_validate(args)
    handles = {each.name: member.bind(each) for each in settings.members}
    return deployment.bind(settings, handles, member.bind(settings.shadow) if settings.shadow else None)
