"""Secrets Manager: what people and other programs look up."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws


def keep(
    name: str, path: str, content: pulumi.Input[str], *, protect: bool, opts: pulumi.ResourceOptions
) -> aws.secretsmanager.Secret:
    """`content` under `path`; both resources are called `name`."""
    stored = aws.secretsmanager.Secret(
        name,
        name=path,
        # A name in its recovery window cannot be used again, and an environment that comes back uses it.
        recovery_window_in_days=30 if protect else 0,
        opts=opts,
    )
    aws.secretsmanager.SecretVersion(name, secret_id=stored.id, secret_string=content, opts=opts)
    return stored
