"""The cluster's certificates: two authorities, and a certificate for every server and every client.

etcd has an authority of its own, because it lets in whoever its authority signed: with a shared one every kubelet or
DNS server certificate would open the whole database.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.cluster import names
from local.cluster.files import write_private
from local.cluster.layout import Layout

if TYPE_CHECKING:
    from local.cluster.issue import Authority

_RENEW_BEFORE = timedelta(days=30)  # a certificate must not end while the cluster it came up with still runs

_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True)
class Request:
    """One certificate. `user` and `group` (common name and organisation) are who its bearer is to the API server;
    `hosts` make it a server's, `client` one to log in with."""

    file: str
    authority: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = ()
    client: bool = True


REQUESTS = (
    Request("etcd", "etcd", "etcd", hosts=("127.0.0.1", "localhost")),
    Request("etcd-client", "etcd", "kube-apiserver"),
    Request(
        "apiserver",
        "cluster",
        "kube-apiserver",
        hosts=(*_SERVICE_NAMES, "localhost", "127.0.0.1", names.NODE_ADDRESS, names.API_SERVICE_ADDRESS),
        client=False,
    ),
    Request("apiserver-kubelet-client", "cluster", "manta:apiserver-kubelet-client"),
    Request("kubelet", "cluster", names.NODE_NAME, hosts=(names.NODE_NAME, names.NODE_ADDRESS), client=False),
    Request("node", "cluster", f"system:node:{names.NODE_NAME}", "system:nodes"),
    Request("controller-manager", "cluster", "system:kube-controller-manager"),
    Request("scheduler", "cluster", "system:kube-scheduler"),
    Request("proxy", "cluster", "system:kube-proxy"),
    Request("coredns", "cluster", "manta:coredns"),
    Request("admin", "cluster", "manta:admin", "system:masters"),
)


def ensure(layout: Layout) -> bool:
    """Create what is missing, half-written, soon to expire or asked for differently; true if anything was.

    The index is written last and names what each certificate was made for, so an interrupted run is noticed.
    """
    index_file = layout.authorities / "index.json"
    index: dict[str, Any] = _read(index_file.read_text()) if index_file.exists() else {}
    if all(_current(layout, request, index) for request in REQUESTS) and _secrets_exist(layout):
        return False
    from local.cluster import issue  # imports the cryptography library, which a running cluster needs no more

    _ensure_secrets(layout, issue.private_key)
    authorities: dict[str, Authority] = {}
    for request in REQUESTS:
        name = request.authority
        authority = authorities.setdefault(name, issue.authority(layout.authorities, layout.pki, name))
        if _current(layout, request, index) and index[request.file]["authority"] == authority.fingerprint:
            continue
        certificate, key, ends = issue.certificate(authority, request)
        write_private(layout.pki / f"{request.file}.key", key)
        write_private(layout.pki / f"{request.file}.crt", certificate)
        entry = {"request": _digest(request), "authority": authority.fingerprint, "ends": ends.isoformat()}
        index[request.file] = entry
    write_private(index_file, json.dumps(index, indent=1))
    return True


def _read(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}


def _current(layout: Layout, request: Request, index: dict[str, Any]) -> bool:
    entry = index.get(request.file)
    files = (layout.pki / f"{request.file}.crt", layout.pki / f"{request.file}.key")
    authority = layout.pki / f"{request.authority}-ca.crt"
    if not entry or not authority.exists() or not all(file.exists() for file in files):
        return False
    if entry["authority"] != hashlib.sha256(authority.read_bytes()).hexdigest():
        return False
    ends = datetime.fromisoformat(entry["ends"])
    return entry["request"] == _digest(request) and datetime.now(UTC) + _RENEW_BEFORE < ends


def _digest(request: Request) -> str:
    return hashlib.sha256(json.dumps(asdict(request), sort_keys=True).encode()).hexdigest()


def _secret_files(layout: Layout) -> tuple[Path, Path]:
    return layout.pki / "service-account.key", layout.pki / "encryption.json"


def _secrets_exist(layout: Layout) -> bool:
    return all(file.exists() for file in _secret_files(layout))


def _ensure_secrets(layout: Layout, private_key: Callable[[], bytes]) -> None:
    """The service accounts' signing key and the key that encrypts Secrets in etcd: made once, never renewed, because
    every token and every stored Secret would be lost with them."""
    signing, encryption = _secret_files(layout)
    if not signing.exists():
        write_private(signing, private_key())
    if not encryption.exists():
        write_private(encryption, json.dumps(_encryption_configuration(secrets.token_bytes(32))))


def _encryption_configuration(key: bytes) -> dict[str, Any]:
    keys = [{"name": "key1", "secret": base64.b64encode(key).decode()}]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": keys}}, {"identity": {}}]}],
    }
