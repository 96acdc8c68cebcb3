"""What continuous training needs of S3 beside files: ETags, and writes that succeed only if nobody was there first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from payloads.common.errors import PayloadError
from payloads.common.settings import Platform
from payloads.common.storage import first_line, tries

# 409 is AWS's answer to two conditional writes of one object at the same moment.
_LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True)
class Found:
    """An object: `path` is relative to the storage root."""

    path: str
    etag: str
    size: int


@contextlib.contextmanager
def explained(platform: Platform) -> Iterator[None]:
    """Turn errors of S3's client into one sentence that names the server and the setting."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        server = f"S3 at {platform.s3_endpoint or 'AWS'} (AWS_ENDPOINT_URL)"
        raise PayloadError(
            f"{server} refused a request or did not answer ({first_line(error)}): mend that and start the run again"
        ) from error


class Objects:
    """The platform's storage root by the S3 API itself."""

    def __init__(self, platform: Platform) -> None:
        root = platform.storage.removeprefix("s3://").rstrip("/")
        self.bucket, _, prefix = root.partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        retries: Any = {"mode": "standard", "total_max_attempts": tries(platform.patience_s)}
        self.client: Any = boto3.client(
            "s3", endpoint_url=platform.s3_endpoint, config=Config(connect_timeout=5, read_timeout=30, retries=retries)
        )

    def below(self, folder: str) -> Iterator[Found]:
        """Every object below `folder`, in the order of its path."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{folder}/"
        )
        for page in pages:
            for entry in page.get("Contents", []):
                path = entry["Key"].removeprefix(self.prefix)
                yield Found(path, entry["ETag"].strip('"'), entry["Size"])

    def read(self, path: str) -> tuple[dict[str, Any], str] | None:
        """The JSON object at `path` and its ETag, or None where there is none."""
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + path)
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return json.loads(answer["Body"].read()), answer["ETag"]

    def write_if(self, path: str, value: dict[str, Any], etag: str | None) -> str | None:
        """Write JSON if the object still has `etag` (None: if there is no object); the new ETag, or None if not."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            answer = self.client.put_object(
                Bucket=self.bucket, Key=self.prefix + path, Body=json.dumps(value).encode(), **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in _LOST | _MISSING:
                return None
            raise
        return answer["ETag"]
