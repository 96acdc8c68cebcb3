"""What a Ray cluster is made of, as plain frozen values: settings and the platform's contract, joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.ray.placement import EVERYWHERE, Placements
from infra.settings.ray import Head, Preemption, Workers

BUNDLE_FOLDER = "/opt/manta/bundle"
BUNDLE_FILE = "payloads.zip"


@dataclass(frozen=True)
class Surroundings:
    """Where a cluster finds its neighbours; all of it comes from the platform's contract."""

    namespace: str
    service_account: str
    auth_secret: str  # key auth_token; must outlive every Ray resource, or their finalizers hang
    credentials_secret: str
    storage: str
    s3_endpoint: str
    s3_region: str
    mlflow_uri: str
    mlflow_secret: str = ""  # empty: MLflow asks for no login
    placements: Placements = EVERYWHERE


@dataclass(frozen=True)
class ClusterSpec:
    """One Ray cluster. `environment` goes to every Ray container, after the common variables; so do the keys of
    `secrets`, by the name of the Secret that holds them, as variables of the keys' names."""

    stack: str
    run: str
    image: str
    ray_version: str
    head: Head
    workers: Workers
    preemption: Preemption
    around: Surroundings
    bundle_config_map: str | None  # None: code arrives by runtime_env, and the pods do not change with it
    bundle_hash: str | None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
