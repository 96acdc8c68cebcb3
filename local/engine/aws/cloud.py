"""The simulated account: clients of its services, made when they are first used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
import botocore.exceptions
from botocore.config import Config

from local.engine.aws.configuration import Configuration
from local.engine.aws.errors import AwsError, is_missing

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"max_attempts": 2},
    max_pool_connections=32,
    # A bucket's name as a host's would have to be resolved.
    s3={"addressing_style": "path"},
)


class Cloud:
    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.region = configuration.region
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._account: str | None = None

    def client(self, service: str) -> Any:
        """A boto3 client. Raises AwsError where the service has no endpoint."""
        with self._lock:
            if service not in self._clients:
                configuration = self.configuration
                self._clients[service] = boto3.Session().client(
                    service,  # pyright: ignore[reportArgumentType, reportCallIssue]
                    region_name=configuration.region,
                    endpoint_url=configuration.endpoint(service),
                    # None: from where the SDK finds them, as a shared credentials file.
                    aws_access_key_id=configuration.access_key,
                    aws_secret_access_key=configuration.secret_key,
                    aws_session_token=configuration.token,
                    config=_CONFIG,
                )
            return self._clients[service]

    @property
    def account(self) -> str:
        """The account's number; raises AwsError for one that is not allowed."""
        if self._account is None:
            found = str(self.client("sts").get_caller_identity()["Account"])
            allowed = self.configuration.allowed_accounts
            if allowed and found not in allowed:
                raise AwsError(
                    f"the credentials belong to account {found}, and this stack lives in {', '.join(allowed)}: use "
                    "other credentials, or correct the account in the stack file"
                )
            self._account = found
        return self._account

    def arn(self, service: str, resource: str, region: str | None = None) -> str:
        return f"arn:aws:{service}:{self.region if region is None else region}:{self.account}:{resource}"

    def find(self, call: Callable[[], Any]) -> Any:
        """What `call` answers, or None if it says that there is no such thing."""
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            if is_missing(error):
                return None
            raise
