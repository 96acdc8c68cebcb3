"""A batched digits classifier on Ray Serve: `payloads.serving.classifier:app`.

One deployment is ingress and model at once: a second one behind it would cost a hop for each request, several times
what the forward pass costs.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import ray
from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from payloads.common.settings import read_platform
from payloads.serving import model
from payloads.serving.answers import ModelCard
from payloads.serving.api import Api
from payloads.serving.collector import Collector
from payloads.serving.failures import Failure
from payloads.serving.model import Predictions
from payloads.serving.schemas import Parsed
from payloads.serving.settings import ClassifierArgs


def rows_of(groups: list[np.ndarray]) -> int:
    """Size of a batch for `@serve.batch`: rows, not requests."""
    return sum(len(group) for group in groups)


class Classifier:
    """Ready only with the model in memory and one batch through it: a replica that answers slowly at first is not."""

    def __init__(self, args: ClassifierArgs) -> None:
        device = model.claim_device(ray.get_runtime_context().get_assigned_resources())
        self.args = args
        platform = read_platform()
        version = args.model_version or model.find_version(platform, args.model_name, args.alias)
        self.model = model.load_version(platform, args.model_name, version, device, args.max_batch_size)
        self.model.predict(np.zeros((args.max_batch_size, self.model.card.inputs), np.float32))
        self.infer.set_max_batch_size(args.max_batch_size)
        self.infer.set_batch_wait_timeout_s(args.batch_wait_timeout_s)
        self.collector = Collector(self.infer, args.max_batch_size)
        self.labels = [f'{{"label":{json.dumps(name)},"confidence":' for name in self.model.card.classes]
        self.tail = f'"model_version":{json.dumps(self.model.card.model_version)},"request_id":'

    def __serve_build_asgi_app__(self) -> ASGIApp:
        api = Api(
            self.answer,
            max_body_bytes=self.args.max_body_bytes,
            max_rows=self.args.max_rows,
            deadline_s=self.args.deadline_s,
            title="Handwritten digits",
            version=self.model.card.model_version,
        )
        down: Any = {503: {"model": Failure, "description": "it does not"}}
        api.add_api_route(
            "/healthz", self.healthz, methods=["GET"], summary="Whether the model computes", responses=down
        )
        api.add_api_route("/model", self.describe, methods=["GET"], summary="What is being served")
        return api

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005, batch_size_fn=rows_of)
    async def infer(self, groups: list[np.ndarray]) -> list[Predictions]:
        """One forward pass for all groups; runs in the event loop, where nothing else could use the CPU."""
        answer = self.model.predict(np.concatenate(groups) if len(groups) > 1 else groups[0])
        ends = np.cumsum([len(group) for group in groups]).tolist()
        return [
            Predictions(answer.classes[start:end], answer.confidences[start:end])
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    async def answer(self, parsed: Parsed, request_id: str) -> bytes:
        """The body of a 200. Built from text: labels and version were made JSON-safe at start, ids on arrival."""
        found = await self.collector.submit(parsed.rows)
        predictions = [
            f"{self.labels[label]}{confidence:.6f}"
            for label, confidence in zip(found.classes, found.confidences, strict=True)
        ]
        tail = f'{self.tail}"{request_id}"}}'
        if parsed.single:
            return f"{predictions[0]},{tail}".encode()
        return ('{"predictions":[' + "},".join(predictions) + "}]," + tail).encode()

    async def healthz(self) -> dict[str, str]:
        try:
            self.model.check()
        except RuntimeError:
            raise HTTPException(503) from None
        return {"status": "ok", "model_version": self.model.card.model_version}

    async def describe(self) -> ModelCard:
        return self.model.card

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        self.model.check()


# The class stays a plain one, so that Ray ships its import path to the replicas and not its code.
deployment = serve.deployment(
    name="classifier",
    max_ongoing_requests=256,
    max_queued_requests=512,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    graceful_shutdown_timeout_s=60,
    health_check_period_s=5,
    health_check_timeout_s=10,
    # A line for each request costs a twentieth of the throughput; metrics count them anyway.
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(serve.ingress()(Classifier))


def app(args: dict[str, Any] | ClassifierArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see ClassifierArgs).

    Ray converts a dict only for annotations that are classes at run time, which those of this module are not.
    """
    return deployment.bind(ClassifierArgs.model_validate(args))
