"""The provider's configuration, as the official provider takes it: region, endpoints, credentials, default tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from local.engine.aws.errors import AwsError

# Switches that matter to the official provider alone: nothing here asks an instance's metadata or checks an account
# before it is used.
IGNORED = {
    "skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId",
    "s3UsePathStyle", "version", "pluginDownloadURL", "maxRetries",
}  # fmt: skip
KNOWN = {"region", "endpoints", "accessKey", "secretKey", "token", "profile", "allowedAccountIds", "defaultTags"}


@dataclass(frozen=True)
class Configuration:
    """`endpoints` by service; the empty name is for all others."""

    region: str
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    allowed_accounts: tuple[str, ...] = ()
    default_tags: Mapping[str, str] = field(default_factory=dict[str, str])

    def endpoint(self, service: str) -> str:
        """Raises AwsError where none is given: a stand-in has no business in a real account."""
        found = self.endpoints.get(service) or self.endpoints.get("")
        if not found:
            raise AwsError(
                f"no endpoint for {service} is set, and the stand-in AWS provider works in a simulated account alone: "
                "set AWS_ENDPOINT_URL (`make env ENV=sim` prints it), or install Pulumi's official AWS provider"
            )
        return found


def unpack(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's inputs arrive as text; lists, maps and switches among them as JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, str) and (value[:1] in ("{", "[") or value in ("true", "false")):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    return {key: plain(value) for key, value in arguments.items()}


def check(arguments: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(setting, what is wrong with it)."""
    values = unpack(arguments)
    failures = [
        (key, f"{key} is no setting of the stand-in AWS provider")
        for key in values
        if key not in KNOWN | IGNORED and values[key] not in (None, "", False)
    ]
    if values.get("profile"):
        failures.append(("profile", "profile is for real accounts, and the stand-in works in a simulated one alone"))
    return failures


def parse(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Configuration:
    """Raises AwsError without a region."""
    values = unpack(arguments)
    region = values.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise AwsError("no region is configured: set aws:region")
    endpoints: dict[str, str] = {}
    if everywhere := environment.get("AWS_ENDPOINT_URL"):
        endpoints[""] = everywhere
    prefix = "AWS_ENDPOINT_URL_"
    for key, value in environment.items():
        if key.startswith(prefix):
            endpoints[key.removeprefix(prefix).lower()] = value
    for entry in cast(list[dict[str, str]], values.get("endpoints") or []):
        endpoints |= {service.lower(): address for service, address in entry.items() if address}
    tags = cast(dict[str, Any], values.get("defaultTags") or {})
    return Configuration(
        region=str(region),
        endpoints=endpoints,
        access_key=values.get("accessKey") or environment.get("AWS_ACCESS_KEY_ID"),
        secret_key=values.get("secretKey") or environment.get("AWS_SECRET_ACCESS_KEY"),
        token=values.get("token") or environment.get("AWS_SESSION_TOKEN"),
        allowed_accounts=tuple(str(item) for item in values.get("allowedAccountIds") or ()),
        default_tags=dict(cast(dict[str, str], tags.get("tags") or {})),
    )
