"""What the workflows stand on: brought up by hand, once an account, since nobody may widen their own rights."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.naming import Place
from infra.aws.pipeline import Pipeline, PipelineArgs
from infra.settings import BootstrapSettings
from infra.stack import StackName


def build(stack: StackName, settings: BootstrapSettings) -> dict[str, Any]:
    """The roles' ARNs: the variables PREVIEW_ROLE, DRIFT_ROLE, IMAGE_ROLE and DEPLOY_ROLE of GitHub's environments."""
    place = Place(stack.environment, settings.account, settings.region, settings.owner)
    account = aws.Provider(
        "aws",
        region=settings.region,
        allowed_account_ids=[settings.account],
        default_tags={"tags": dict(place.tags)},
    )
    pipeline = Pipeline(
        "pipeline",
        PipelineArgs(place, settings.repository, settings.state.bucket, settings.state.key, settings.make_provider),
        opts=pulumi.ResourceOptions(providers=[account]),
    )
    return {f"{duty}Role": arn for duty, arn in pipeline.roles.items()}
