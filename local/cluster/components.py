"""The node's processes: command lines, and the order in which they start and stop."""

from __future__ import annotations

import signal

from local.cluster import names
from local.cluster.layout import NODE_BIN, NODE_STATE
from local.cluster.spec import Component

_PKI = NODE_STATE / "pki"
_CONFIG = NODE_STATE / "config"
_KUBE = str(NODE_BIN / "kube")
_API = f"tcp:127.0.0.1:{names.API_PORT}"
_CONTAINERD = f"unix:{names.CONTAINERD_SOCKET}"

# What starts pods goes first, then the pods themselves (stage 1 is theirs), what they need, and the database last.
_STAGE_PODS_KEEPERS, STAGE_PODS, _STAGE_SERVICES, _STAGE_API, _STAGE_DATABASE = range(5)


def components() -> tuple[Component, ...]:
    """All of them, in the order of their start."""
    return (
        _etcd(),
        Component("containerd", ("containerd", "--config", f"{_CONFIG}/containerd.toml"), stop_stage=_STAGE_SERVICES),
        _apiserver(),
        _controller_manager(),
        _scheduler(),
        _kubelet(),
        Component(
            "proxy",
            (_KUBE, "proxy", f"--config={_CONFIG}/proxy.json"),
            environment=_GO,
            after=(_API,),
            stop_stage=_STAGE_SERVICES,
        ),
        Component(
            "coredns",
            (str(NODE_BIN / "coredns"), "-conf", f"{_CONFIG}/Corefile"),
            environment=_GO,
            after=(_API,),
            stop_stage=_STAGE_SERVICES,
        ),
        Component(
            "haproxy",
            ("haproxy", "-W", "-S", names.HAPROXY_SOCKET, "-f", f"{_CONFIG}/haproxy.cfg"),
            stop_stage=_STAGE_SERVICES,
            reload_signal=int(signal.SIGUSR2),
        ),
    )


# The heap of an idle control plane is small and its garbage cheap to collect: half of Go's default slack. The API
# server lives on 160 MiB, on 300 MiB with KubeRay's definitions, and kept 950 MiB after an hour of tests: it gets a
# limit at which it collects more eagerly (a soft one, more is taken if more is in use).
_GO = {"GOGC": "50"}


def _etcd() -> Component:
    client = f"https://127.0.0.1:{names.ETCD_PORT}"
    peer = f"https://127.0.0.1:{names.ETCD_PEER_PORT}"
    tls = {"cert-file": "etcd.crt", "key-file": "etcd.key", "trusted-ca-file": "etcd-ca.crt"}
    options = (
        f"--name={names.NODE_NAME}",
        f"--data-dir={NODE_STATE}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster={names.NODE_NAME}={peer}",
        "--client-cert-auth",
        "--peer-client-cert-auth",
        *(f"--{option}={_PKI}/{file}" for option, file in tls.items()),
        *(f"--peer-{option}={_PKI}/{file}" for option, file in tls.items()),
        "--listen-metrics-urls=http://127.0.0.1:2381",
        "--log-level=warn",
    )
    return Component("etcd", (_KUBE, "etcd", *options), environment=_GO, stop_stage=_STAGE_DATABASE, stop_seconds=3.0)


def _apiserver() -> Component:
    options = (
        f"--advertise-address={names.NODE_ADDRESS}",
        f"--secure-port={names.API_PORT}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--client-ca-file={_PKI}/cluster-ca.crt",
        f"--tls-cert-file={_PKI}/apiserver.crt",
        f"--tls-private-key-file={_PKI}/apiserver.key",
        "--tls-min-version=VersionTLS12",
        f"--etcd-servers=https://127.0.0.1:{names.ETCD_PORT}",
        f"--etcd-cafile={_PKI}/etcd-ca.crt",
        f"--etcd-certfile={_PKI}/etcd-client.crt",
        f"--etcd-keyfile={_PKI}/etcd-client.key",
        f"--encryption-provider-config={_PKI}/encryption.json",
        f"--kubelet-certificate-authority={_PKI}/cluster-ca.crt",
        f"--kubelet-client-certificate={_PKI}/apiserver-kubelet-client.crt",
        f"--kubelet-client-key={_PKI}/apiserver-kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{names.CLUSTER_DOMAIN}",
        f"--service-account-key-file={_PKI}/service-account.key",
        f"--service-account-signing-key-file={_PKI}/service-account.key",
        f"--service-cluster-ip-range={names.SERVICE_NETWORK}",
        "--profiling=false",
    )
    return Component(
        "apiserver",
        (_KUBE, "apiserver", *options),
        environment=_GO | {"GOMEMLIMIT": "640MiB"},
        after=(f"tcp:127.0.0.1:{names.ETCD_PORT}",),
        stop_stage=_STAGE_API,
        stop_seconds=2.0,
    )


def _controller_manager() -> Component:
    # Certificates are made by `up`, never requested from the cluster, so nothing here may sign any; nothing measures
    # pods, so nothing can be scaled by measure; volumes of one node are never attached or detached.
    absent = (
        "certificatesigningrequest-signing-controller",
        "certificatesigningrequest-approving-controller",
        "certificatesigningrequest-cleaner-controller",
        "horizontal-pod-autoscaler-controller",
        "persistentvolume-attach-detach-controller",
    )
    options = (
        *_kubeconfig("controller-manager"),
        *_delegation("controller-manager"),
        "--leader-elect=false",
        f"--controllers=*,{','.join('-' + name for name in absent)}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={_PKI}/service-account.key",
        f"--root-ca-file={_PKI}/cluster-ca.crt",
        "--profiling=false",
    )
    return Component("controller-manager", (_KUBE, "controller-manager", *options), environment=_GO, after=(_API,))


def _scheduler() -> Component:
    options = (
        *_kubeconfig("scheduler"),
        *_delegation("scheduler"),
        "--leader-elect=false",
        "--profiling=false",
    )
    return Component("scheduler", (_KUBE, "scheduler", *options), environment=_GO, after=(_API,))


def _kubelet() -> Component:
    options = (
        f"--config={_CONFIG}/kubelet.json",
        *_kubeconfig("node"),
        "--root-dir=/var/lib/kubelet",
        f"--hostname-override={names.NODE_NAME}",
        f"--node-ip={names.NODE_ADDRESS}",
    )
    return Component("kubelet", (_KUBE, "kubelet", *options), environment=_GO, after=(_CONTAINERD, _API))


def _kubeconfig(name: str) -> tuple[str, ...]:
    return (f"--kubeconfig={_CONFIG}/{name}.kubeconfig",)


def _delegation(name: str) -> tuple[str, ...]:
    """Who asks at the component's own port is judged by the API server; the authority is given here, since looking it
    up in the cluster ends the process when the API server has not granted the right to do so yet."""
    return (
        "--bind-address=127.0.0.1",
        f"--client-ca-file={_PKI}/cluster-ca.crt",
        "--authentication-skip-lookup=true",
        f"--authentication-kubeconfig={_CONFIG}/{name}.kubeconfig",
        f"--authorization-kubeconfig={_CONFIG}/{name}.kubeconfig",
    )
