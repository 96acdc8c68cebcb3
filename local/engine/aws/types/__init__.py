"""The types, by service. Importing this module enters all of them."""

from __future__ import annotations

from local.engine.aws.kinds import of, tokens
from local.engine.aws.types import (
    addresses,
    buckets,
    costs,
    databases,
    eks,
    eks_access,
    events,
    gateways,
    iam,
    iam_federation,
    images,
    keys,
    launch,
    queues,
    routes,
    secrets,
    security_groups,
    vpc,
    vpc_extras,
)

__all__ = [
    "addresses",
    "buckets",
    "costs",
    "databases",
    "eks",
    "eks_access",
    "events",
    "gateways",
    "iam",
    "iam_federation",
    "images",
    "keys",
    "launch",
    "of",
    "queues",
    "routes",
    "secrets",
    "security_groups",
    "tokens",
    "vpc",
    "vpc_extras",
]  # fmt: skip
