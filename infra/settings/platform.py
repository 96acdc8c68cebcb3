"""A platform stack: what an environment offers to its runs."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.settings.aws import AwsSettings
from infra.settings.base import Count, Image, Name, Positive, Quantity, Settings
from infra.settings.monitoring import MonitoringSettings


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


class KedaSettings(Settings):
    """KEDA, for stacks that say `scaling`. `charts`: the official Helm repository, or a folder that holds the chart
    `keda`. `queues`: ARNs of the SQS queues that it may read the length of."""

    charts: str = "https://kedacore.github.io/charts"
    queues: list[Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,80}$")]] = Field(
        default_factory=list[str]
    )


class NetworkSettings(Settings):
    """Addresses that NetworkPolicies let through. `dns: pods` means the kube-dns pods, anything else is a network.

    `nodes` are the nodes' addresses: the kubelet's probes, the API server and what publishes Services come from there.
    `cloud` are a cloud's own services, reached by HTTPS; `identityAgent` gives pods their roles; `database` is
    where MLflow's may be. Without `cloud` the platform runs object storage itself.
    """

    dns: str = "pods"
    nodes: list[Network] = Field(min_length=1)
    api_server: list[Network] = Field(min_length=1)
    api_server_ports: list[Positive] = Field(default_factory=lambda: [443, 6443])
    cloud: list[Network] = Field(default_factory=list[Network])
    identity_agent: Network | None = None
    database: list[Network] = Field(default_factory=list[Network])


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
    """`allowedHosts` are the further Host headers that MLflow answers, on top of its Service's names.

    `authentication`: nobody is heard without a login. Left out it is on with `manta:aws` and off without."""

    path: str = Field(default="/var/lib/manta/volumes/mlflow", pattern=r"^/.+$")
    size: Quantity = "5Gi"
    allowed_hosts: list[str] = Field(default_factory=list[str])
    authentication: bool | None = None


class ImagesSettings(Settings):
    """Images by digest. What is not said here is read from the ConfigMap in which the environment records it, where
    there is one (`recorded`)."""

    recorded: bool = True
    namespace: Name = "kube-public"
    config_map: Name = "manta-images"
    ray: Image | None = None
    ray_operator: Image | None = None
    karpenter: Image | None = None
    prometheus_operator: Image | None = None
    prometheus_config_reloader: Image | None = None
    prometheus: Image | None = None
    alertmanager: Image | None = None

    @property
    def given(self) -> dict[str, str]:
        """By the names under which they are recorded."""
        named = {
            "ray": self.ray,
            "ray-operator": self.ray_operator,
            "karpenter": self.karpenter,
            "prometheus-operator": self.prometheus_operator,
            "prometheus-config-reloader": self.prometheus_config_reloader,
            "prometheus": self.prometheus,
            "alertmanager": self.alertmanager,
        }
        return {name: image for name, image in named.items() if image}


class PlatformSettings(Settings):
    """`protect` keeps namespaces, volumes, data and CRDs from being destroyed by a slip.

    With `aws` the platform makes its cluster, and everything under it, there. Without it, it stands on a cluster that
    is there already: `node` is where the volumes are, and `network` says its addresses."""

    protect: bool = True
    aws: AwsSettings | None = None
    node: Name | None = None
    namespace: Name = "ray"
    system_namespace: Name = "manta-system"
    images: ImagesSettings = ImagesSettings()
    kuberay: KubeRaySettings = KubeRaySettings()
    network: NetworkSettings | None = None
    quota: QuotaSettings = QuotaSettings()
    storage: StorageSettings = StorageSettings()
    mlflow: MlflowSettings = MlflowSettings()
    keda: KedaSettings | None = None
    monitoring: MonitoringSettings | None = None

    @property
    def mlflow_asks(self) -> bool:
        """Whether MLflow asks for a login."""
        said = self.mlflow.authentication
        return self.aws is not None if said is None else said

    @property
    def here(self) -> tuple[str, NetworkSettings]:
        """Node and addresses of a cluster that is there already; raises ValueError with `aws`."""
        if self.node is None or self.network is None:
            raise ValueError("this platform makes its cluster itself")
        return self.node, self.network

    @model_validator(mode="after")
    def _is_whole(self) -> PlatformSettings:
        for name in ("node", "network"):
            if self.aws is None and getattr(self, name) is None:
                raise ValueError(f"manta:{name} is missing: a platform on a cluster that is there already needs it")
            if self.aws is not None and getattr(self, name) is not None:
                raise ValueError(f"manta:{name} is for clusters that are there already: leave it out beside manta:aws")
        if self.aws is None and self.keda is not None and self.keda.queues:
            raise ValueError("manta:keda.queues: SQS queues are read on AWS alone: leave it out")
        if self.aws is not None and not self.images.recorded and self.images.ray is None:
            raise ValueError("manta:images.ray is missing: push the image to the registry and name it by digest")
        return self
