"""The local Kubernetes cluster: `up`, `down`, `status`, `purge`, and `publish` for what people reach from this machine.

Imported lazily: the supervisor is part of this package and must not carry the host side's libraries in its memory.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local.cluster.handle import Cluster
    from local.cluster.health import ClusterStatus, ComponentStatus, status
    from local.cluster.lifecycle import down, purge, up

__all__ = ["Cluster", "ClusterStatus", "ComponentStatus", "down", "purge", "status", "up"]

_HOMES = {
    "Cluster": "handle",
    "ClusterStatus": "health",
    "ComponentStatus": "health",
    "down": "lifecycle",
    "purge": "lifecycle",
    "status": "health",
    "up": "lifecycle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
