"""May this parcel be carried, and for how much: `payloads.serving.business.app:app`.

Three deployments, scaled apart: `business` waits (for the carrier, the ledger, the reader), `member-reader` computes,
`ledger` owns the decisions.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.config import BackpressureConfig
from ray.serve.schema import LoggingConfig

from payloads.serving import member
from payloads.serving.business.ingress import Business
from payloads.serving.business.ledger import Ledger
from payloads.serving.business.settings import BusinessArgs

_QUIET = LoggingConfig(log_level="WARNING", enable_access_log=False)

ledger_deployment = serve.deployment(
    name="ledger", num_replicas=1, max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    health_check_period_s=5, health_check_timeout_s=10, logging_config=_QUIET,
)(Ledger)  # fmt: skip
deployment = serve.deployment(
    name="business", max_ongoing_requests=256, max_queued_requests=512, graceful_shutdown_timeout_s=60,
    backpressure_config=BackpressureConfig(status_code=503, retry_after_s=1),
    health_check_period_s=5, health_check_timeout_s=10, logging_config=_QUIET,
)(serve.ingress()(Business))  # fmt: skip


def app(args: dict[str, Any] | BusinessArgs) -> serve.Application:
    """Build the application from `args` of serveConfigV2 (see BusinessArgs)."""
    settings = BusinessArgs.model_validate(args)
    return deployment.bind(settings, member.bind(settings.reader), ledger_deployment.bind(settings.ledger))
