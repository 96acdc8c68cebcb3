"""A bootstrap stack: what the workflows need in an account before they can work."""

from __future__ import annotations

from pydantic import Field

from infra.settings.aws import Account, Region
from infra.settings.base import Settings


class StateSettings(Settings):
    """Where the stacks' state is: `bucket`, and `key`, the ARN of the KMS key that encrypts their secrets."""

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    key: str = Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9a-f-]{36}$")


class BootstrapSettings(Settings):
    """`repository` is OWNER/NAME on GitHub. `makeProvider: false` where the account has GitHub's identity provider."""

    region: Region
    account: Account
    owner: str = Field(min_length=1)
    repository: str = Field(pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$")
    state: StateSettings
    make_provider: bool = True
