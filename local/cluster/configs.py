"""Configuration files of the components, as text: pure functions of what they depend on."""

from __future__ import annotations

import json
from typing import Any

from local.cluster import names
from local.cluster.layout import NODE_STATE

CNI_PLUGINS = ("ptp", "portmap", "host-local", "loopback")

_PKI = NODE_STATE / "pki"
_CONFIG = NODE_STATE / "config"


def render(cgroup: str, *, may_lower_oom_score: bool) -> dict[str, str]:
    """File name below the config folder -> content."""
    return {
        "containerd.toml": containerd(may_lower_oom_score=may_lower_oom_score),
        "cni/10-pods.conflist": _json(cni()),
        "kubelet.json": _json(kubelet(cgroup)),
        "proxy.json": _json(proxy()),
        "Corefile": corefile(),
        "pods-resolv.conf": f"nameserver {names.NODE_ADDRESS}\n",
    }


def containerd(*, may_lower_oom_score: bool) -> str:
    """Without CAP_SYS_RESOURCE a process may not lower an OOM score: runc then dies on every sandbox ("can't get final
    child's PID from pipe: EOF") unless containerd clamps the score to its own."""
    clamp = "false" if may_lower_oom_score else "true"
    return f"""version = 2
root = "{NODE_STATE}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{names.CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{names.PAUSE_IMAGE}"
  restrict_oom_score_adj = {clamp}
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{_CONFIG}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def cni() -> dict[str, Any]:
    """Pods are routed, each over its own veth pair, not bridged: a bridge hides traffic between pods from the Service
    rules unless br_netfilter is switched on, and that switch is the whole machine's."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": names.POD_NETWORK}]], "routes": [{"dst": "0.0.0.0/0"}]}
    pods = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [pods, portmap]}


def kubelet(cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": names.NODE_ADDRESS,
        "port": names.KUBELET_PORT,
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(_PKI / "cluster-ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(_PKI / "kubelet.crt"),
        "tlsPrivateKeyFile": str(_PKI / "kubelet.key"),
        "tlsMinVersion": "VersionTLS12",
        "containerRuntimeEndpoint": f"unix://{names.CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["pods"],
        # What the control plane itself uses at rest, so that pods cannot starve it.
        "kubeReserved": {"cpu": "100m", "memory": "1Gi"},
        "maxPods": 110,
        # A Ray node runs hundreds of threads a process; a fork bomb still ends here, not at the machine's limit.
        "podPidsLimit": 8192,
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "evictionPressureTransitionPeriod": "30s",
        # Images come from no registry: one that the kubelet deletes on a fairly full disk is gone.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "clusterDNS": [names.NODE_ADDRESS],
        "clusterDomain": names.CLUSTER_DOMAIN,
        "resolvConf": str(_CONFIG / "pods-resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "enableProfilingHandler": False,
    }


def proxy() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(_CONFIG / "proxy.kubeconfig")},
        "clusterCIDR": names.POD_NETWORK,
        "hostnameOverride": names.NODE_NAME,
        "mode": "iptables",
        # A Service that is reported ready refuses connections until the next sync.
        "iptables": {"minSyncPeriod": "100ms", "localhostNodePorts": False},
        # The limits belong to the machine and are read-only in a network namespace; zero leaves them alone.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }


def corefile() -> str:
    """No cache and no forwarding: answers come from memory, and there is nothing outside to ask. A cached "no such
    name" would outlive the creation of a Service. Being the authority for `.` too makes it say "no such name" of the
    world outside instead of failing, which clients would retry."""
    return f""".:{names.DNS_PORT} {{
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes {names.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa . {{
    kubeconfig {_CONFIG}/coredns.kubeconfig coredns
    ttl 5
  }}
}}
"""


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
