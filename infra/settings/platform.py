"""A platform stack: what an environment offers to its runs."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from infra.settings.base import Count, Image, Name, Positive, Quantity, Settings


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value))


Network = Annotated[str, AfterValidator(_network)]


class KubeRaySettings(Settings):
    """`source: chart` takes the operator and its CRDs from the official Helm repository, `manifests` the CRDs from a
    folder (`crds`) and the operator from manifests of the same version, for machines that reach no repository."""

    source: Literal["chart", "manifests"] = "chart"
    crds: str | None = None
    image: Image | None = None
    memory: Quantity = "512Mi"


class NetworkSettings(Settings):
    """Addresses that NetworkPolicies let through. `dns: pods` means the kube-dns pods, anything else is a network.

    `nodes` are the nodes' addresses: the kubelet's probes, the API server and what publishes Services come from there.
    """

    dns: str = "pods"
    nodes: list[Network] = Field(min_length=1)
    api_server: list[Network] = Field(min_length=1)
    api_server_ports: list[Positive] = Field(default_factory=lambda: [443, 6443])


class QuotaSettings(Settings):
    """The most that all Ray pods together may ask for."""

    cpu: Quantity = "64"
    memory: Quantity = "256Gi"
    gpus: Count = 0
    pods: Positive = 200


class StorageSettings(Settings):
    """Object storage that the platform runs itself, on a volume that the node has at `path`."""

    bucket: str = Field(default="manta", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    path: str = Field(default="/var/lib/manta/volumes/s3", pattern=r"^/.+$")
    size: Quantity = "50Gi"


class MlflowSettings(Settings):
    """`allowedHosts` are the further Host headers that MLflow answers, on top of its Service's names."""

    path: str = Field(default="/var/lib/manta/volumes/mlflow", pattern=r"^/.+$")
    size: Quantity = "5Gi"
    allowed_hosts: list[str] = Field(default_factory=list[str])


class ImagesSettings(Settings):
    """The ConfigMap in which the environment records its images' digests."""

    namespace: Name = "kube-public"
    config_map: Name = "manta-images"


class PlatformSettings(Settings):
    """`protect` keeps namespaces, volumes and CRDs from being destroyed by a slip; `node` is where the volumes are."""

    protect: bool = True
    node: Name
    namespace: Name = "ray"
    system_namespace: Name = "manta-system"
    images: ImagesSettings = ImagesSettings()
    kuberay: KubeRaySettings = KubeRaySettings()
    network: NetworkSettings
    quota: QuotaSettings = QuotaSettings()
    storage: StorageSettings = StorageSettings()
    mlflow: MlflowSettings = MlflowSettings()
