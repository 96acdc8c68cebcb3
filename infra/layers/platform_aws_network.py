"""What the platform's network policies and quotas are on AWS: derived, so that no setting says it twice. Pure."""

from __future__ import annotations

from infra.settings import PlatformSettings
from infra.settings.aws import AwsSettings
from infra.settings.platform import NetworkSettings

# Where EKS's Pod Identity agent answers on every node.
IDENTITY_AGENT = "169.254.170.23/32"


def inside_network(on: AwsSettings) -> NetworkSettings:
    """Nodes and API server are in the VPC, and pods too; S3 answers from public addresses, even by its endpoint."""
    ranges = [on.network.cidr, *([on.network.pod_cidr] if on.network.pod_cidr else [])]
    return NetworkSettings.model_validate(
        {
            "dns": "pods",
            "nodes": ranges,
            "apiServer": [*ranges, on.cluster.service_cidr],
            "apiServerPorts": [443],
            "cloud": ["0.0.0.0/0"],
            "identityAgent": IDENTITY_AGENT,
            "database": ranges,
        }
    )


def with_gpu_quota(settings: PlatformSettings, on: AwsSettings) -> PlatformSettings:
    """Each rung of the ladder has a limit of its own; the quota holds all of them together to the one that was set."""
    gpus = settings.quota.gpus or on.capacity.gpu.limit
    return settings.model_copy(update={"quota": settings.quota.model_copy(update={"gpus": gpus})})
