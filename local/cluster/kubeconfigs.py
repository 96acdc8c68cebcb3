"""Kubeconfig files: paths of keys for the components, embedded keys for the person."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from local.cluster import names
from local.cluster.files import write_private
from local.cluster.layout import NODE_STATE, Layout

_COMPONENTS = ("node", "controller-manager", "scheduler", "proxy", "coredns")


def write_for_components(layout: Layout) -> None:
    """One file a component, with its own client certificate and thereby its own rights."""
    for name in _COMPONENTS:
        write_for_node(layout, name, name)


def write_for_node(layout: Layout, name: str, certificate: str) -> None:
    """`NAME.kubeconfig` for a process on the node that logs in with the client certificate of that name."""
    pki = NODE_STATE / "pki"
    content = _kubeconfig(
        name,
        {
            "server": f"https://127.0.0.1:{names.API_PORT}",
            "certificate-authority": str(pki / "cluster-ca.crt"),
        },
        {"client-certificate": str(pki / f"{certificate}.crt"), "client-key": str(pki / f"{certificate}.key")},
    )
    write_private(layout.config / f"{name}.kubeconfig", content)


def write_for_people(layout: Layout, instance: str, port: int) -> None:
    """The administrator's kubeconfig, complete in itself, for the API server's port on this machine."""
    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": _embedded(layout.pki / "cluster-ca.crt"),
    }
    user = {
        "client-certificate-data": _embedded(layout.pki / "admin.crt"),
        "client-key-data": _embedded(layout.pki / "admin.key"),
    }
    write_private(layout.kubeconfig, _kubeconfig(instance, cluster, user))


def _kubeconfig(name: str, cluster: dict[str, str], user: dict[str, str]) -> str:
    # JSON is YAML: every reader of kubeconfigs takes it, and no quoting rule can be got wrong.
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"


def _embedded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
