"""PersistentVolumeClaims: bound, unless the storage class binds on first use."""

from __future__ import annotations

from collections.abc import Sequence

from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.objects import Object, section
from local.engine.kubernetes.waits.status import Failed, Query, Ready, Status, Waiting

STORAGE_CLASSES = GroupVersionKind("storage.k8s.io", "v1", "StorageClass")


def class_of(obj: Object) -> tuple[Query, ...]:
    name = obj["spec"].get("storageClassName")
    return (Query(STORAGE_CLASSES, name=name),) if name else ()


def claim_status(obj: Object, classes: Sequence[Object]) -> Status:
    phase = section(obj, "status").get("phase")
    if phase == "Bound":
        return Ready()
    if phase == "Lost":
        return Failed(f"its volume {obj['spec'].get('volumeName')} is gone")
    if any(found.get("volumeBindingMode") == "WaitForFirstConsumer" for found in classes):
        return Ready()
    wanted = obj["spec"].get("storageClassName") or "no storage class"
    return Waiting(f"no volume is bound to it ({wanted})")
