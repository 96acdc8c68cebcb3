"""A cluster that went away under its stack: what is left of the stack can be destroyed all the same."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.cluster.engine.project import CHECKOUT, Project

FORWARD = """
import socket, sys, threading
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    finally:
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
while True:
    near, _ = listener.accept()
    far = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


@pytest.fixture
def way(api: Path, tmp_path: Path) -> tuple[Path, subprocess.Popen[str]]:
    """A kubeconfig whose API server is reached through a process: with that the cluster goes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kubeconfig = yaml.safe_load(api.read_text())
    cluster = kubeconfig["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    cluster["server"] = f"https://127.0.0.1:{port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    command = [sys.executable, "-c", FORWARD, str(port), str(server.hostname), str(server.port or 443)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return path, process


def test_a_stack_whose_cluster_is_gone_is_destroyed_by_one_who_says_so(
    new_project: Callable[..., Project], way: tuple[Path, subprocess.Popen[str]], namespace: str
) -> None:
    kubeconfig, cluster = way
    program = f"""
        import sys
        sys.path.insert(0, {str(CHECKOUT)!r})
        import pulumi, pulumi_kubernetes as k
        from infra.kubernetes.guard import RunGuard

        settings = k.core.v1.ConfigMap("settings", metadata={{"namespace": "{namespace}", "name": "settings"}})
        RunGuard("runs", "{namespace}", pulumi.ResourceOptions(depends_on=[settings]))
    """
    project = new_project(program, kubeconfig=kubeconfig)
    project.up()
    cluster.kill()
    cluster.wait()
    assert cluster.stdout is not None
    cluster.stdout.close()

    refused = project.run("destroy", "--yes", "--skip-preview", "--stack", project.stack, check=False)
    assert refused.code != 0
    assert "destroy again with PULUMI_K8S_DELETE_UNREACHABLE=true" in refused.output
    assert "Traceback" not in refused.output

    sure = Project(project.folder, project.pulumi, {**project.environment, "PULUMI_K8S_DELETE_UNREACHABLE": "true"})
    sure.destroy()
    assert "ConfigMap" not in project.state_text()
