"""What a launched machine is made with: image, disks, network, metadata, tags. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.aws import instances
from infra.aws.naming import DISCOVERY_TAG, Place
from infra.settings.aws_capacity import AmiSettings, CapacitySettings

# Pulls and unpacks layers side by side; the image of the runs has gigabytes of them.
_AL2023 = """apiVersion: node.eks.aws/v1alpha1
kind: NodeConfig
spec:
  featureGates:
    FastImagePull: true
"""
_BOTTLEROCKET = """[settings.container-runtime]
snapshotter = "soci"
"""


def ami_terms(ami: AmiSettings) -> list[dict[str, str]]:
    return [{"alias": ami.alias}] if ami.alias else [{"id": ami.id or ""}]


def disks(ami: AmiSettings, gib: int) -> list[dict[str, Any]]:
    """Encrypted gp3. Bottlerocket keeps its system apart from images and data."""

    def disk(device: str, size: int, **more: int) -> dict[str, Any]:
        ebs = {"volumeSize": f"{size}Gi", "volumeType": "gp3", "encrypted": True, "deleteOnTermination": True, **more}
        return {"deviceName": device, "ebs": ebs}

    # Unpacking an image is bound by the disk: gp3's 125 MiB/s takes minutes for 10 GiB, and 500 MiB/s costs little.
    fast = {"iops": 4000, "throughput": 500}
    if ami.family == "Bottlerocket":
        return [disk("/dev/xvda", 4), disk("/dev/xvdb", gib, **fast)]
    return [disk("/dev/xvda", gib, **fast)]


def node_class(
    name: str, place: Place, settings: CapacitySettings, profile: str, tags: Mapping[str, str], reserved: bool = False
) -> dict[str, Any]:
    """An EC2NodeClass of the API karpenter.k8s.aws/v1, for GPU pools or, with the name `cpu`, the others."""
    pool = settings.cpu if name == "cpu" else settings.gpu
    discovered = [{"tags": {DISCOVERY_TAG: place.cluster}}]
    spec: dict[str, Any] = {
        "amiFamily": settings.ami.family,
        "amiSelectorTerms": ami_terms(settings.ami),
        "instanceProfile": profile,
        "subnetSelectorTerms": discovered,
        "securityGroupSelectorTerms": discovered,
        "blockDeviceMappings": disks(settings.ami, pool.disk_gib),
        # Hop limit 1: a pod that asks for the node's credentials gets no answer.
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpProtocolIPv6": "disabled",
            "httpPutResponseHopLimit": 1,
            "httpTokens": "required",
        },
        "userData": _BOTTLEROCKET if settings.ami.family == "Bottlerocket" else _AL2023,
        "tags": {**tags, "Name": f"{place.cluster}-{name}"},
    }
    if any(instances.has_instance_store(family) for family in pool.families):
        spec["instanceStorePolicy"] = "RAID0"
    if reserved:
        spec["capacityReservationSelectorTerms"] = [{"id": item.id} for item in settings.gpu.reservations]
    return {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": name},
        "spec": spec,
    }
