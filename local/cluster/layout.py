"""Where a cluster keeps its things: on the host below the state folder, on the node always below /var/lib/manta."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NODE_STATE = PurePosixPath("/var/lib/manta")
NODE_BIN = PurePosixPath("/opt/manta/bin")

# The certificate authorities' keys stay out of the node's view: no pod, however privileged, can sign itself in.
_SHARED_WITH_NODE = ("pki", "config", "etcd", "containerd", "logs", "volumes", "run")


@dataclass(frozen=True)
class Layout:
    """Paths on the host. Everything but `kubeconfig` is a folder."""

    state: Path

    @property
    def authorities(self) -> Path:
        return self.state / "authorities"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pod_logs(self) -> Path:
        return self.logs / "pods"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def root(self) -> Path:
        """Mount point on which the node's root is assembled; empty when seen from the host."""
        return self.run / "root"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    def folders(self) -> tuple[Path, ...]:
        names = ("authorities", *_SHARED_WITH_NODE, "config/cni", "kubelet", "run/root", "logs/pods")
        return tuple(self.state / name for name in names)

    def node_mounts(self) -> tuple[tuple[str, str], ...]:
        """(path on the host, path on the node) of what the node may write."""
        shared = tuple((str(self.state / name), str(NODE_STATE / name)) for name in _SHARED_WITH_NODE)
        # The kubelet's device plugin sockets and the pods' logs have fixed paths in Kubernetes.
        return (*shared, (str(self.kubelet), "/var/lib/kubelet"), (str(self.pod_logs), "/var/log/pods"))
