"""Object storage: one S3 file system that waits out an outage.

pyarrow's own S3 client gives up after three tries, and forgets its retry strategy when it is pickled to a Ray
worker. A minute without the S3 server would then use up the failure budget of a training run.
"""

from __future__ import annotations

import json
import posixpath
from dataclasses import dataclass
from typing import Any

import pyarrow.fs

from payloads.common.errors import PayloadError
from payloads.common.settings import Platform

# The AWS SDK doubles its pause from 25 ms up to 20 s with jitter: the first six tries take seconds,
# each later one about 10 s (8 tries took 56 s, 12 took 140 s against a closed port).
QUICK_TRIES = 4
SECONDS_A_TRY = 10.0


class PatientS3(pyarrow.fs.S3FileSystem):
    """S3 file system that keeps its endpoint and patience when pickled.

    Credentials are not pickled: each process finds its own (environment, pod identity), so a rotated one is
    picked up and none travels in a Ray message.
    """

    def __init__(self, endpoint: str | None, patience_s: float) -> None:
        super().__init__(
            endpoint_override=endpoint,
            connect_timeout=5,
            request_timeout=30,
            retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=tries(patience_s)),
            allow_delayed_open=True,
        )
        self._arguments = (endpoint, patience_s)

    def __reduce__(self) -> Any:
        return PatientS3, self._arguments


def tries(patience_s: float) -> int:
    """How many tries the SDK needs to go on for about `patience_s` seconds."""
    return QUICK_TRIES + round(patience_s / SECONDS_A_TRY)


@dataclass(frozen=True)
class Storage:
    """A prefix in a bucket; every `path` below is relative to it.

    A write is one PUT: readers see the old object or the new one, never half of it.
    """

    filesystem: pyarrow.fs.S3FileSystem
    root: str

    def path(self, *parts: str) -> str:
        """bucket/prefix/parts, the form that pyarrow wants together with `filesystem`."""
        return posixpath.join(self.root, *parts)

    def exists(self, path: str) -> bool:
        return self.filesystem.get_file_info(self.path(path)).type != pyarrow.fs.FileType.NotFound

    def read(self, path: str) -> bytes | None:
        """The object's bytes, or None where there is no such object."""
        try:
            with self.filesystem.open_input_stream(self.path(path)) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, path: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(self.path(path)) as stream:
            stream.write(content)

    def read_json(self, path: str) -> dict[str, Any] | None:
        content = self.read(path)
        return None if content is None else json.loads(content)

    def write_json(self, path: str, value: dict[str, Any]) -> None:
        self.write(path, json.dumps(value, indent=2, sort_keys=True).encode())


def open_storage(platform: Platform) -> Storage:
    """The storage that `platform.storage` names; nothing is contacted yet."""
    return Storage(
        filesystem=PatientS3(platform.s3_endpoint, platform.patience_s),
        root=platform.storage.removeprefix("s3://").rstrip("/"),
    )


def check_storage(storage: Storage, platform: Platform) -> None:
    """Raise PayloadError in one sentence if the bucket cannot be reached or used.

    Done before anything is spent on a run: a wrong credential would otherwise show after Ray has started.
    """
    bucket = storage.root.split("/", 1)[0]
    where = f"S3 bucket {bucket} at {platform.s3_endpoint or 'AWS'} (MANTA_STORAGE, AWS_ENDPOINT_URL)"
    try:
        info = storage.filesystem.get_file_info(bucket)
    except OSError as error:
        raise PayloadError(f"{where} cannot be reached: {first_line(error)}") from None
    if info.type == pyarrow.fs.FileType.NotFound:
        raise PayloadError(f"{where} does not exist: bring up the platform stack or correct MANTA_STORAGE")


def first_line(error: BaseException) -> str:
    """First line of an error's text, short enough for a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
