"""One model as a deployment of its own that other deployments ask: rows in, probabilities out, batched over callers."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray
from ray import serve
from ray.serve.schema import LoggingConfig

from payloads.common.settings import read_platform
from payloads.serving import model
from payloads.serving.settings import MemberArgs


def rows_of(groups: list[np.ndarray]) -> int:
    """Size of a batch for `@serve.batch`: rows, not requests."""
    return sum(len(group) for group in groups)


class Member:
    """Ready only with the model in memory and one batch through it."""

    def __init__(self, args: MemberArgs) -> None:
        platform = read_platform()
        device = model.claim_device(ray.get_runtime_context().get_assigned_resources())
        version = args.version or model.find_version(platform, args.model_name, args.alias)
        self.args = args
        self.model = model.load_version(platform, args.model_name, version, device, args.max_batch_size)
        self.model.probabilities(np.zeros((args.max_batch_size, self.model.card.inputs), np.float32))
        self.infer.set_max_batch_size(args.max_batch_size)
        self.infer.set_batch_wait_timeout_s(args.batch_wait_timeout_s)

    async def probabilities(self, rows: np.ndarray) -> np.ndarray:
        """Probability of each class: float32 [rows, classes], in the order of the card's classes."""
        most = self.args.max_batch_size
        if len(rows) <= most:
            return await self.infer(rows)
        # A request of many rows is no reason for a batch that is larger than memory was planned for.
        return np.concatenate([self.model.probabilities(part) for part in np.split(rows, range(most, len(rows), most))])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001, batch_size_fn=rows_of)
    async def infer(self, groups: list[np.ndarray]) -> list[np.ndarray]:
        """One forward pass for all groups."""
        found = self.model.probabilities(np.concatenate(groups) if len(groups) > 1 else groups[0])
        return np.split(found, np.cumsum([len(group) for group in groups])[:-1])

    async def card(self) -> dict[str, Any]:
        return self.model.card.model_dump()

    def check_health(self) -> None:
        """Called by Ray Serve; raising has the replica replaced."""
        self.model.check()


deployment = serve.deployment(
    name="member",
    max_ongoing_requests=256,
    max_queued_requests=512,
    graceful_shutdown_timeout_s=60,
    health_check_period_s=5,
    health_check_timeout_s=10,
    logging_config=LoggingConfig(log_level="WARNING", enable_access_log=False),
)(Member)


def bind(args: MemberArgs) -> serve.Application:
    """A member as a deployment `member-<name>`."""
    return deployment.options(name=f"member-{args.name}").bind(args)
