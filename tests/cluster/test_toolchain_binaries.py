"""The built programs: static, of the pinned versions, and each doing what our own few lines add to upstream's code."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from local.progress import PlainReporter
from local.settings import LocalSettings
from local.toolchain import Toolchain, ensure, modules


@pytest.fixture(scope="module")
def toolchain(local_settings: LocalSettings) -> Toolchain:
    return ensure(local_settings, PlainReporter(Console()))


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_program_is_static(toolchain: Toolchain) -> None:
    for module, folder in ((modules.cluster(), toolchain.bin_dir), (modules.pulumi(), toolchain.pulumi.parent)):
        for name in module.binaries:
            # An ELF file that asks for a dynamic loader names it near its start, in the INTERP segment.
            with (folder / name).open("rb") as stream:
                assert b"/ld-linux" not in stream.read(4096), f"{name} would not start in an empty image"


def test_every_component_says_the_pinned_version(toolchain: Toolchain) -> None:
    version = modules.required_version(modules.cluster().directory, "k8s.io/kubernetes")
    for component in ("apiserver", "controller-manager", "scheduler", "kubelet", "proxy"):
        assert output(toolchain.kube, component, "--version").strip() == f"Kubernetes {version}"
    assert output(toolchain.pulumi, "version").strip() == modules.required_version(
        modules.pulumi().directory, "github.com/pulumi/pulumi/sdk/v3"
    )


def test_the_link_kubectl_behaves_as_kubectl(toolchain: Toolchain) -> None:
    version = modules.required_version(modules.cluster().directory, "k8s.io/kubernetes")
    assert f"Client Version: {version}" in output(toolchain.kubectl, "version", "--client")
    assert output(toolchain.kubectl, "version", "--client") == output(toolchain.kube, "kubectl", "version", "--client")


def test_an_unknown_component_is_refused_with_the_known_ones(toolchain: Toolchain) -> None:
    ended = subprocess.run([toolchain.kube, "kubelte"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "kubelet" in ended.stderr


def test_coredns_refuses_plugins_that_ask_the_world_outside(toolchain: Toolchain, tmp_path: Path) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(".:0 {\n  forward . 9.9.9.9\n}\n")
    ended = subprocess.run(
        [toolchain.coredns, "-conf", corefile], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode != 0
    assert "forward" in ended.stdout + ended.stderr


@pytest.fixture
def pause(toolchain: Toolchain) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`pause` as the first process of a PID namespace, as in a pod that shares one, and its process id out here."""
    unshare = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", toolchain.pause])
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
    deadline = time.monotonic() + 10
    # Not before it waits for signals: it must be unshare's child, be itself, and sleep.
    while not (pids := children.read_text().split()) or not is_waiting(int(pids[0])):
        assert time.monotonic() < deadline, "pause did not start"
        time.sleep(0.02)
    yield unshare, int(pids[0])
    unshare.kill()
    unshare.wait()


def is_waiting(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return status.startswith("Name:\tpause\n") and "State:\tS" in status


def test_pause_reaps_the_orphans_of_its_pod(pause: tuple[subprocess.Popen[bytes], int]) -> None:
    _, pid = pause
    for _ in range(3):
        subprocess.run(["nsenter", "-t", str(pid), "-p", "sh", "-c", "sleep 0.1 & exit"], check=True)
    time.sleep(0.5)
    assert not Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), "ended orphans must not stay as zombies"


def test_pause_ends_when_the_pod_does(pause: tuple[subprocess.Popen[bytes], int]) -> None:
    unshare, pid = pause
    subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(pid)], check=True)
    assert unshare.wait(10) == 0


def test_kuberays_manifests_are_those_of_the_operators_version(toolchain: Toolchain) -> None:
    crds = {path.name for path in (toolchain.kuberay_dir / "crds").iterdir()}
    assert {"ray.io_rayclusters.yaml", "ray.io_rayjobs.yaml", "ray.io_rayservices.yaml"} <= crds
    assert (toolchain.kuberay_dir / "rbac" / "role.yaml").is_file()
