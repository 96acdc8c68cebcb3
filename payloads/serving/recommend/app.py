"""Recommendations over HTTP: `payloads.serving.recommend.app:app`.

Three deployments, each scaled on its own: the ingress reads and answers, `retrieve` looks up the user and searches the
neighbours, `rank` scores them. The ingress hands `rank` the promise of what `retrieve` will find and never sees it.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from payloads.recommend.retrieve import Query
from payloads.serving.http import JsonApi, Route
from payloads.serving.recommend import schemas
from payloads.serving.recommend.schemas import RecommendArgs, RecommenderCard
from payloads.serving.recommend.stages import QUIET, Rank, Retrieve


class Recommend:
    """The ingress: it has no model, only handles to those that have one."""

    def __init__(self, args: RecommendArgs, retrieve: DeploymentHandle, rank: DeploymentHandle) -> None:
        self.args = args
        self.retrieve = retrieve
        self.rank = rank

    def __serve_build_asgi_app__(self) -> ASGIApp:
        route = Route(
            path="/recommend",
            summary="The best items for a user",
            parse=partial(schemas.parse, most=self.args.most, candidates=self.args.candidates),
            answer=self.answer,
            request_schema=schemas.RecommendRequest.model_json_schema(),
            response_model=schemas.RecommendAnswer,
            deadline_s=self.args.deadline_s,
        )
        api = JsonApi([route], self.args.max_body_bytes, title="Recommendations")
        api.add_api_route("/model", self.describe, methods=["GET"], summary="What is being served")
        return api

    async def answer(self, asked: tuple[Query, int], request_id: str) -> bytes:
        query, k = asked
        answer = await self.rank.order.remote(self.retrieve.find.remote(query), k)
        return json.dumps({**answer, "request_id": request_id}).encode()

    async def describe(self) -> RecommenderCard:
        return RecommenderCard(**await self.retrieve.card.remote())


# The classes stay plain ones, so that Ray ships their import paths to the replicas and not their code.
retrieve_deployment = serve.deployment(
    name="retrieve", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(Retrieve)  # fmt: skip
rank_deployment = serve.deployment(
    name="rank", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(Rank)  # fmt: skip
deployment = serve.deployment(
    name="recommend", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(serve.ingress()(Recommend))  # fmt: skip


def app(args: dict[str, Any] | RecommendArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see RecommendArgs)."""
    settings = RecommendArgs.model_validate(args)
    return deployment.bind(settings, retrieve_deployment.bind(settings), rank_deployment.bind(settings))
