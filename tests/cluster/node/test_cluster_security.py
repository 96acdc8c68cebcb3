"""Nobody gets in without a certificate of ours, nothing listens where another machine could knock, keys stay hidden."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from local.cluster import cgroups, names
from local.cluster.layout import Layout
from tests.cluster.node.conftest import INSTANCE, Second, eventually, shell_pod

LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net writes it


@pytest.fixture(autouse=True)
def _running(second: Second) -> None:
    second.up()


def identity(second: Second, client: str | None, authority: str = "cluster") -> ssl.SSLContext:
    pki = Layout(second.settings.state_dir).pki
    context = ssl.create_default_context(cafile=str(pki / f"{authority}-ca.crt"))
    if client is not None:
        context.load_cert_chain(pki / f"{client}.crt", pki / f"{client}.key")
    return context


def status(address: str, port: int, path: str, context: ssl.SSLContext, token: str | None = None) -> int:
    connection = http.client.HTTPSConnection(address, port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        return connection.getresponse().status
    finally:
        connection.close()


def inside(second: Second, action: Callable[[], int]) -> int:
    return second.running.in_netns(action)


def as_component(second: Second, name: str, *arguments: str) -> str:
    """kubectl with the certificate of component `name`; its output, or its complaint."""
    layout = Layout(second.settings.state_dir)
    flags = (
        "--kubeconfig=/dev/null",
        f"--server=https://127.0.0.1:{second.settings.ports.api}",
        f"--certificate-authority={layout.pki / 'cluster-ca.crt'}",
        f"--client-certificate={layout.pki / name}.crt",
        f"--client-key={layout.pki / name}.key",
    )
    return second.kubectl(*flags, *arguments, check=False)


def test_the_api_server_answers_its_administrator_and_refuses_everyone_unknown(second: Second) -> None:
    port = second.settings.ports.api
    assert status("127.0.0.1", port, "/api", identity(second, "admin")) == 200
    for path in ("/api", "/healthz", "/readyz", "/version", "/openapi/v2", "/metrics"):
        assert status("127.0.0.1", port, path, identity(second, None)) == 401, path
        assert status("127.0.0.1", port, path, identity(second, None), token="guess") == 401, path
    assert status("127.0.0.1", port, "/api", identity(second, "etcd-client")) == 401, "another authority's certificate"


def test_the_kubelet_answers_the_api_server_and_refuses_everyone_unknown(second: Second) -> None:
    def ask(client: str | None, path: str = "/pods") -> int:
        context = identity(second, client)
        return inside(second, lambda: status(names.NODE_ADDRESS, names.KUBELET_PORT, path, context))

    assert ask("apiserver-kubelet-client") == 200
    for path in ("/pods", "/healthz", "/metrics", "/logs/", "/configz"):
        assert ask(None, path) == 401, path
    assert ask("coredns") == 403, "known, but without the right"


def test_the_kubelets_port_without_authentication_is_closed(second: Second) -> None:
    def connect() -> int:
        with socket.socket() as probe:
            return probe.connect_ex((names.NODE_ADDRESS, 10255))

    assert inside(second, connect) != 0


def test_etcd_lets_in_the_api_servers_certificate_and_no_other(second: Second) -> None:
    def ask(client: str | None) -> int:
        context = identity(second, client, authority="etcd")
        return inside(second, lambda: status("127.0.0.1", names.ETCD_PORT, "/health", context))

    assert ask("etcd-client") == 200
    for stranger in (None, "admin", "coredns", "node"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(stranger)


def test_etcds_peer_port_wants_a_certificate_too(second: Second) -> None:
    context = identity(second, None, authority="etcd")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        inside(second, lambda: status("127.0.0.1", names.ETCD_PEER_PORT, "/version", context))


def test_on_the_host_the_cluster_listens_on_loopback_alone(second: Second) -> None:
    inodes = {
        str(link.readlink()).removeprefix("socket:[").removesuffix("]")
        for pid in cgroups.processes(INSTANCE)
        for link in _links(pid)
    }
    found: set[tuple[str, int]] = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listening = fields[3] == "0A" or table.startswith("udp")
            if listening and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                found.add((address, int(port, 16)))
    assert found == {(LOOPBACK, second.settings.ports.api)}


def _links(pid: int) -> list[Path]:
    try:
        return [link for link in Path(f"/proc/{pid}/fd").iterdir() if str(link.readlink()).startswith("socket:[")]
    except FileNotFoundError:
        return []


def test_every_key_and_credential_is_for_root_alone(second: Second) -> None:
    state = second.settings.state_dir
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = [second.settings.kubeconfig]
    for folder in ("authorities", "pki", "config"):
        files += [path for path in (state / folder).rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".key"]) >= 14
    for path in files:
        status_ = path.stat()
        assert (stat.S_IMODE(status_.st_mode), status_.st_uid) == (0o600, 0), path


def test_no_key_stands_on_a_command_line(second: Second) -> None:
    encryption = json.loads((second.settings.state_dir / "pki" / "encryption.json").read_text())
    secret = encryption["resources"][0]["providers"][0]["secretbox"]["keys"][0]["secret"]
    for pid in cgroups.processes(INSTANCE):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode() + Path(f"/proc/{pid}/environ").read_bytes().decode()
        assert secret not in words
        assert "PRIVATE KEY" not in words


def test_secrets_are_encrypted_in_the_database(second: Second) -> None:
    for kind, name in (("secret", "hidden"), ("configmap", "plain")):
        second.kubectl("delete", kind, name, "--ignore-not-found")
    second.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=xyzzy-hidden-word")
    second.kubectl("create", "configmap", "plain", "--from-literal=word=xyzzy-plain-word")
    data = b"".join(path.read_bytes() for path in (second.settings.state_dir / "etcd").rglob("*") if path.is_file())
    assert b"xyzzy-plain-word" in data, "the search would not find what is there"
    assert b"xyzzy-hidden-word" not in data
    assert second.get("secret", "hidden")["data"]["word"]


def test_a_node_may_change_itself_and_no_other(second: Second) -> None:
    # NodeRestriction: a label of this prefix is the administrator's.
    refused = as_component(second, "node", "label", "node", names.NODE_NAME, "node-restriction.kubernetes.io/a=b")
    assert "is not allowed to modify labels" in refused
    other = json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}})
    second.kubectl("apply", "-f", "-", text=other)
    try:
        assert "forbidden" in as_component(second, "node", "label", "node", "other", "a=b", "--overwrite").lower()
    finally:
        second.kubectl("delete", "node", "other")


def test_the_dns_server_can_read_services_and_no_secret(second: Second) -> None:
    assert "kubernetes" in as_component(second, "coredns", "get", "services", "-A")
    assert "forbidden" in as_component(second, "coredns", "get", "secrets", "-A").lower()
    assert "forbidden" in as_component(second, "coredns", "get", "configmaps", "-A").lower()


def test_a_restricted_namespace_refuses_a_pod_that_runs_as_root(second: Second) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}}
    second.kubectl("apply", "-f", "-", text=json.dumps(namespace))
    eventually(
        lambda: "default" in second.kubectl("get", "serviceaccounts", "-n", "strict"), "the service account is made"
    )
    pod = shell_pod("bold", "/bin/sleep", "1")
    refused = second.kubectl("apply", "-n", "strict", "-f", "-", text=pod, check=False)
    assert 'violates PodSecurity "restricted' in refused


def test_not_even_a_pod_with_the_nodes_root_sees_the_host(with_pods: Second) -> None:
    second = with_pods
    pod = json.loads(shell_pod("spy", "/bin/sleep", "infinity"))
    pod["spec"]["volumes"].append({"name": "root", "hostPath": {"path": "/"}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "root", "mountPath": "/node"})
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True, "runAsUser": 0}
    pod["spec"] |= {"hostPID": True, "hostNetwork": True}
    second.kubectl("apply", "-f", "-", text=json.dumps(pod))
    second.kubectl("wait", "pod/spy", "--for=condition=Ready", "--timeout=60s")
    run = ("exec", "spy", "--", "/bin/sh", "-c")
    state = second.kubectl(*run, "ls /node/var/lib/manta").split()
    assert "volumes" in state
    assert "authorities" not in state, "the authorities' keys would make any identity"
    assert "kubeconfig" not in state
    assert second.kubectl(*run, "ls -A /node/root /node/mnt").split() == ["/node/mnt:", "/node/root:"]
    assert second.kubectl(*run, f"ls -d /proc/{os.getpid()} || true").split() == []
    assert second.kubectl(*run, "cat /proc/1/cmdline").startswith(("/", "python"))
    interfaces = second.kubectl(*run, "ls /node/sys/class/net").split()
    assert "node0" in interfaces
    ours = {link.name for link in Path("/sys/class/net").iterdir()} - {"lo"}
    assert not ours & set(interfaces), "the host's network is another"
    second.kubectl("delete", "pod", "spy", "--wait=false")
