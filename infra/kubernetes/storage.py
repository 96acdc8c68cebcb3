"""Volumes on the node's own disk. The restricted pod security level forbids hostPath, so they are static local
PersistentVolumes, each bound to its one claim."""

from __future__ import annotations

from typing import Any

STORAGE_CLASS = "manta-local"


def volume_manifest(name: str, path: str, size: str, node: str, namespace: str) -> dict[str, Any]:
    """A volume at `path` of `node`, which must exist and belong to the user of the pods. Its data outlives it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": path},
            # Only the claim named here may take it, and a claim made again finds it.
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": name, "namespace": namespace},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
                    ]
                }
            },
        },
    }


def claim_manifest(name: str, size: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "volumeName": f"{namespace}-{name}",
            "resources": {"requests": {"storage": size}},
        },
    }
