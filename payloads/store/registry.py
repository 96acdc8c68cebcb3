"""Feast's registry as one object on the platform's storage, which one run writes and all others only read.

Feast's own store for S3 takes every error of S3 for a registry that is not there, and then writes an empty one in its
place: a model server that started in a bad moment would have wiped out what it came to read.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.fs
from feast.infra.registry.registry_store import RegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from payloads.common.errors import PayloadError
from payloads.common.settings import read_platform
from payloads.common.storage import open_storage


def place(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """File system and path of an `s3://` URI on the platform's storage, or of a path on this machine."""
    if uri.startswith("s3://"):
        return open_storage(read_platform()).filesystem, uri.removeprefix("s3://").rstrip("/")
    return pyarrow.fs.LocalFileSystem(), uri


class WritingRegistryStore(RegistryStore):
    """For the one run of a project that registers and materialises."""

    def __init__(self, registry_config: RegistryConfig, _: Path | None) -> None:
        self.filesystem, self.path = place(registry_config.path)

    def get_registry_proto(self) -> Registry:
        """Raises FileNotFoundError where there is none, and OSError where that cannot be known."""
        with self.filesystem.open_input_stream(self.path) as stream:
            return Registry.FromString(stream.read())

    def update_registry_proto(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.FromDatetime(datetime.now(UTC))
        with self.filesystem.open_output_stream(self.path) as stream:
            stream.write(registry_proto.SerializeToString())

    def teardown(self) -> None:
        self.filesystem.delete_file(self.path)


class ReadingRegistryStore(WritingRegistryStore):
    """For everybody else. Feast writes a registry where it finds none: here that is an error."""

    def update_registry_proto(self, registry_proto: Registry) -> None:  # noqa: ARG002
        raise PayloadError(
            f"the feature registry {self.path} is not there, or was to be changed by who only reads it: run "
            "payloads.store.materialize, which writes it"
        )

    def teardown(self) -> None:
        raise PayloadError(f"the feature registry {self.path} is only read here")
