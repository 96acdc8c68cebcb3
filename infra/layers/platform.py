"""An environment's platform: what every run and endpoint stands on."""

from __future__ import annotations

from typing import Any

from infra.layers import platform_aws, platform_here
from infra.settings import PlatformSettings
from infra.stack import StackName


async def build(stack: StackName, settings: PlatformSettings) -> dict[str, Any]:
    """On AWS, or on the cluster that is there already."""
    if settings.aws is not None:
        return platform_aws.build(stack, settings, settings.aws)
    return platform_here.build(stack, settings)
