"""An image in, its digits and a sentence out: `payloads.serving.pipeline.app:app`.

Decode, detect, keypoints and describe are deployments, scaled each by its own load and on its own kind of node. The
ingress holds no image: it hands on references, and the stages fetch what they name from the object store.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig

from payloads.serving.pipeline import models, stages
from payloads.serving.pipeline.ingress import Pipeline
from payloads.serving.pipeline.settings import PipelineArgs

QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)


def _stage(stage: type, name: str, ongoing: int) -> serve.Deployment:
    """The ingress bounds what is under way, so that no stage refuses what was let in."""
    return serve.deployment(
        name=name, max_ongoing_requests=ongoing, max_queued_requests=-1, graceful_shutdown_timeout_s=60,
        health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
    )(stage)  # fmt: skip


deployment = serve.deployment(
    name="pipeline", max_ongoing_requests=64, max_queued_requests=128, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10, logging_config=QUIET,
)(serve.ingress()(Pipeline))  # fmt: skip


def app(args: dict[str, Any] | PipelineArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see PipelineArgs)."""
    settings = PipelineArgs.model_validate(args)
    return deployment.bind(
        settings,
        _stage(stages.Decode, "decode", 16).bind(settings),
        _stage(models.Detect, "detect", 64).bind(settings),
        _stage(models.Keypoints, "keypoints", 64).bind(settings),
        _stage(stages.Describe, "describe", 64).bind(),
    )
