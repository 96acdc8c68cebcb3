"""Feast's FeatureStore on the platform: registry on object storage, history in Parquet, latest values in Redis."""

from __future__ import annotations

from feast import FeatureStore, RepoConfig
from feast.repo_config import RegistryConfig

from payloads.common.settings import Platform
from payloads.store.settings import Redis


def registry_uri(platform: Platform, project: str) -> str:
    return f"{platform.storage.rstrip('/')}/store/{project}/registry.db"


def connection(redis: Redis, timeout_s: float) -> str:
    """Feast's form of a Redis address; it reads values as JSON, so a password of digits alone must be quoted."""
    parts = [redis.address, f"socket_timeout={timeout_s}", f"socket_connect_timeout={timeout_s}"]
    return ",".join([*parts, f'password="{redis.password.get_secret_value()}"'] if redis.password else parts)


def open_store(
    registry: str, project: str, redis: Redis | None = None, timeout_s: float = 30, *, writes: bool = False
) -> FeatureStore:
    """The store of `project`; nothing is contacted before it is used. `timeout_s` is for Redis, without which a store
    has a history alone.

    `writes`: definitions are registered and the registry is made if need be; else a missing one is a PayloadError.

    The registry is read once and again only when it is told to (`refresh_registry`): a reading that came by itself
    would come in the middle of a request.
    """
    kind = f"payloads.store.registry.{'Writing' if writes else 'Reading'}RegistryStore"
    address = {"connection_string": connection(redis, timeout_s)} if redis else {}
    config = RepoConfig(
        project=project,
        registry=RegistryConfig(registry_store_type=kind, path=registry, cache_ttl_seconds=0),
        provider="local",
        offline_store={"type": "payloads.store.offline.ParquetOfflineStore"},
        # What is written is the latest of its window, so it may replace what is there. Feast's own check keeps the
        # first of two rows of the same time, and a correction would never reach serving.
        online_store={"type": "redis", "skip_dedup": True, **address},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)
