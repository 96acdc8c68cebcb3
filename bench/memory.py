"""Memory of the local control plane, without the pods."""

from __future__ import annotations

import psutil

from local import cluster
from local.cluster.health import find
from local.settings import LocalSettings


def control_plane_bytes(settings: LocalSettings) -> int:
    """Bytes of all of the cluster's own processes and of the supervisor: proportional set size, so that pages which
    processes share (most run the same binary) count once. 0 when the cluster does not run."""
    supervisor = find(settings)
    if supervisor is None:
        return 0
    pids = {supervisor.supervisor, *(part.pid for part in cluster.status(settings).components if part.pid)}
    for pid in tuple(pids):
        # HAProxy's worker is a child of the component; containerd's children are the pods' shims, which are not meant.
        process = psutil.Process(pid)
        if process.name() == "haproxy":
            pids |= {child.pid for child in process.children()}
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
