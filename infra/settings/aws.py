"""The AWS part of a platform stack. Without it the platform stands on a cluster that is there already."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.settings.aws_capacity import CapacitySettings
from infra.settings.aws_data import BudgetSettings, DatabaseSettings, RegistrySettings, StorageSettings
from infra.settings.aws_ingress import IngressSettings
from infra.settings.aws_network import NetworkSettings
from infra.settings.base import Name, Positive, Settings

# Regions with EKS, from botocore's endpoint data of 2026-09; a test compares them.
REGIONS = (
    "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
    "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
    "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-north-1",
    "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1",
    "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(role|user)/[\w+=,.@/-]+")


def _region(value: str) -> str:
    if value not in REGIONS:
        raise ValueError(f"{value} is no region with EKS: use one of {', '.join(REGIONS)}")
    return value


def _principal(value: str) -> str:
    if not _PRINCIPAL.fullmatch(value):
        raise ValueError(
            f"{value} is no IAM role or user: write arn:aws:iam::<account>:role/<name>, not an assumed session"
        )
    return value


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError:
        raise ValueError(f"{value} is no IPv4 network: write it as 172.20.0.0/16") from None


Cidr = Annotated[str, AfterValidator(_cidr)]
Region = Annotated[str, AfterValidator(_region)]
Account = Annotated[str, Field(pattern=r"^\d{12}$")]
Principal = Annotated[str, AfterValidator(_principal)]


class EndpointSettings(Settings):
    """Who reaches the API server: from within the VPC always, from `publicFrom` (networks) if any is given."""

    public_from: list[str] = Field(default_factory=list[str])

    @model_validator(mode="after")
    def _is_an_allow_list(self) -> EndpointSettings:
        for text in self.public_from:
            try:
                network = ipaddress.ip_network(text)
            except ValueError:
                raise ValueError(f"publicFrom {text} is no network: write it as 203.0.113.7/32") from None
            # A /8 holds 16 million addresses; an allow-list of those is none.
            if network.prefixlen < 16:
                raise ValueError(
                    f"publicFrom {text} opens the API server to {network.num_addresses} addresses: name the networks "
                    "that need it, /16 or smaller, or leave publicFrom out and come from within the VPC"
                )
        return self


class AddonVersions(Settings):
    """EKS add-ons for Kubernetes 1.34, as `aws eks describe-addon-versions` lists them; all of them are pinned."""

    vpc_cni: str = "v1.20.4-eksbuild.1"
    coredns: str = "v1.12.4-eksbuild.1"
    kube_proxy: str = "v1.34.0-eksbuild.4"
    eks_pod_identity_agent: str = "v1.3.9-eksbuild.3"
    aws_ebs_csi_driver: str = "v1.51.1-eksbuild.1"
    metrics_server: str = "v0.8.0-eksbuild.3"


class SystemNodesSettings(Settings):
    """Two on-demand nodes for Karpenter and the operators: Karpenter cannot launch the node that it runs on."""

    instance_types: list[str] = Field(default_factory=lambda: ["m7i.large", "m6i.large", "m7a.large"], min_length=1)
    size: Annotated[int, Field(ge=1, le=10)] = 2
    disk_gib: Annotated[int, Field(ge=20, le=1000)] = 50


class ClusterSettings(Settings):
    """`admins` get the cluster-admin policy; who runs `pulumi up` must be among them, for the creator of a cluster is
    no admin of it here."""

    endpoint: EndpointSettings = EndpointSettings()
    admins: list[Principal] = Field(min_length=1)
    viewers: list[Principal] = Field(default_factory=list[Principal])
    service_cidr: Cidr = "172.20.0.0/16"
    log_retention_days: Literal[1, 3, 7, 14, 30, 60, 90, 180, 365, 731] = 30
    deletion_protection: bool = True
    support: Literal["STANDARD", "EXTENDED"] = "STANDARD"
    system: SystemNodesSettings = SystemNodesSettings()
    addons: AddonVersions = AddonVersions()


class KarpenterSettings(Settings):
    """`charts`: an OCI address, or a folder that holds the charts `karpenter-crd` and `karpenter`; MANTA_CHARTS in the
    environment says it for a machine that reaches no registry."""

    charts: str = "oci://public.ecr.aws/karpenter"
    replicas: Annotated[int, Field(ge=1, le=3)] = 2
    memory: str = "1Gi"
    cpu: str = "500m"


class AwsSettings(Settings):
    """`account` is where the stack lives: credentials of another account are refused before anything is made."""

    region: Region
    account: Account
    owner: Name
    network: NetworkSettings
    cluster: ClusterSettings
    capacity: CapacitySettings
    karpenter: KarpenterSettings = KarpenterSettings()
    storage: StorageSettings = StorageSettings()
    registry: RegistrySettings = RegistrySettings()
    database: DatabaseSettings = DatabaseSettings()
    budget: BudgetSettings | None = None
    ingress: IngressSettings | None = None
    log_retention_days: Positive = 30

    @model_validator(mode="after")
    def _zones_lie_in_the_region(self) -> AwsSettings:
        for zone in self.network.zones:
            if zone[:-1] != self.region:
                raise ValueError(f"network.zones: {zone} is no zone of {self.region}")
        self.capacity.check_zones(self.network.zones)
        services = ipaddress.ip_network(self.cluster.service_cidr)
        for name, text in (("cidr", self.network.cidr), ("podCidr", self.network.pod_cidr)):
            if text and services.overlaps(ipaddress.ip_network(text)):
                raise ValueError(
                    f"cluster.serviceCidr {self.cluster.service_cidr} overlaps network.{name} {text}: use another range"
                )
        return self

    @property
    def weaknesses(self) -> list[str]:
        """What of these settings no production may have, each by its name and with its remedy."""
        wanted = {
            "cluster.deletionProtection": (self.cluster.deletion_protection, "true"),
            "database.multiAz": (self.database.multi_az, "true"),
            "database.deletionProtection": (self.database.deletion_protection, "true"),
            "database.backupDays": (self.database.backup_days >= 7, "7 or more"),
            "storage.keepOnDestroy": (self.storage.keep_on_destroy, "true"),
            "budget": (self.budget is not None, "a budget"),
        }
        return [f"manta:aws.{name} must be {remedy}" for name, (good, remedy) in wanted.items() if not good]

    @property
    def partition(self) -> str:
        return "aws"
