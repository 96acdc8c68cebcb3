"""From any state the cluster can be found in, up brings it up with its state intact and down leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import local.cluster
from local.cluster import cgroups, names
from local.cluster.health import find
from local.errors import MantaError
from local.progress import PlainReporter
from tests.cluster.node import host
from tests.cluster.node.conftest import INSTANCE, Second, eventually, shell_pod

PROJECT = Path(__file__).resolve().parents[3]
COMPONENTS = (
    "etcd",
    "containerd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "kubelet",
    "proxy",
    "coredns",
    "haproxy",
)


def environment(second: Second) -> dict[str, str]:
    ports = {f"MANTA_PORT_{name.upper()}": str(port) for name, port in second.settings.ports.by_name().items()}
    folders = {"MANTA_STATE_DIR": str(second.settings.state_dir), "MANTA_CACHE_DIR": str(second.settings.cache_dir)}
    return {**os.environ, "MANTA_INSTANCE": INSTANCE, **folders, **ports}


def start_up(second: Second) -> subprocess.Popen[str]:
    """`up` as a command of its own, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "local.cluster", "up"],
        cwd=PROJECT,
        env=environment(second),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def pids(second: Second) -> dict[str, int | None]:
    return {component.name: component.pid for component in local.cluster.status(second.settings).components}


def shell_runs(second: Second, restarts: int = 0) -> bool:
    pod = second.get("pod", "shell")
    return any(
        "running" in container["state"] and container["restartCount"] >= restarts
        for container in pod["status"].get("containerStatuses", [])
    )


def kill_everything(second: Second) -> None:
    """As a power cut does: no process of the cluster gets to do anything."""
    victims = cgroups.processes(INSTANCE) | {second.running.supervisor}
    assert len(victims) > len(COMPONENTS), "the cluster's processes were not found"
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # the supervisor's end takes the others along
            continue
    eventually(lambda: find(second.settings) is None, "the supervisor ended")


def test_up_makes_a_ready_node_of_the_pinned_version(second: Second) -> None:
    second.up()
    node = second.get("node", names.NODE_NAME)
    assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
    version = node["status"]["nodeInfo"]["kubeletVersion"]
    reported = subprocess.run([second.toolchain.kube, "kubelet", "--version"], capture_output=True, text=True)
    assert version in reported.stdout


def test_a_second_up_leaves_every_process_alone(second: Second) -> None:
    first, before = second.up(), pids(second)
    assert None not in before.values()
    assert second.up() == first
    assert pids(second) == before


def test_the_supervisor_holds_on_to_nothing_of_the_session_that_started_it(second: Second) -> None:
    second.down()
    process = start_up(second)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    supervisor = second.running.supervisor
    os.killpg(os.getsid(supervisor), 0)
    assert os.getsid(supervisor) != process.pid, "the end of the terminal's session would end the cluster"
    links = {link.name: str(link.readlink()) for link in Path(f"/proc/{supervisor}/fd").iterdir()}
    ours = ("/dev/null", str(second.settings.state_dir), "net:[", "/var/lib/manta/", "/logs/", "/run/")
    assert all(target.startswith(ours) for target in links.values()), f"inherited descriptors: {links}"


def test_down_leaves_nothing_but_the_state(with_pods: Second) -> None:
    second = with_pods
    second.down()
    before = host.snapshot()
    cluster = second.up()
    second.kubectl("apply", "-f", "-", text=shell_pod("shell", "/bin/sleep", "infinity"))
    eventually(lambda: shell_runs(second), "the pod runs")
    namespaces = host.namespaces_of(cluster)
    assert len([name for name in namespaces if name.startswith("net:")]) == 2, "the node's network and the pod's"
    assert host.processes_in(namespaces)
    assert cgroups.exists(INSTANCE)
    assert second.settings.ports.api in host.listeners()

    second.down()

    assert host.snapshot() == before
    assert not host.processes_in(namespaces)
    assert not cgroups.exists(INSTANCE)
    assert not cgroups.processes(INSTANCE)
    assert second.settings.ports.api not in host.listeners()
    assert find(second.settings) is None
    assert (second.settings.state_dir / "etcd").is_dir()


def test_down_of_a_stopped_cluster_does_nothing(second: Second) -> None:
    second.down()
    before = host.snapshot()
    second.down()
    assert host.snapshot() == before


def test_after_a_power_cut_everything_is_still_there_and_pods_run_again(with_pods: Second) -> None:
    second = with_pods
    second.up()
    second.kubectl("apply", "-f", "-", text=shell_pod("shell", "/bin/sleep", "infinity"))
    eventually(lambda: shell_runs(second), "the pod runs")
    restarts = second.get("pod", "shell")["status"]["containerStatuses"][0]["restartCount"]
    second.kubectl("delete", "configmap", "kept", "--ignore-not-found")
    second.kubectl("create", "configmap", "kept", "--from-literal=written=last")
    kill_everything(second)

    second.up()

    assert second.get("configmap", "kept")["data"] == {"written": "last"}
    eventually(lambda: shell_runs(second, restarts + 1), "the pod runs again")


def test_down_after_a_power_cut_leaves_nothing(second: Second) -> None:
    second.down()
    before = host.snapshot()
    second.up()
    kill_everything(second)
    second.down()
    assert host.snapshot() == before
    assert not cgroups.exists(INSTANCE)


def test_leftovers_of_a_broken_start_are_cleared(second: Second) -> None:
    second.down()
    cgroups.create(INSTANCE)
    stray = subprocess.Popen(["sleep", "600"])
    first, unified = cgroups.hierarchies(Path("/proc/self/mountinfo").read_text())
    groups = [point / INSTANCE / "control" for point in (*first, *([unified] if unified else []))]
    for group in groups:
        (group / "cgroup.procs").write_text(str(stray.pid))
    run = second.settings.state_dir / "run"
    (run / "status.json").write_text('{"etcd": {"pid": 1, "sta')
    (run / "started").write_text("nonsense")
    second.up()
    assert stray.wait(timeout=10) == -signal.SIGKILL, "what is in our control group is ours"
    assert local.cluster.status(second.settings).healthy


def test_a_start_that_is_interrupted_is_finished_by_the_next(second: Second) -> None:
    second.down()
    process = start_up(second)
    eventually(lambda: find(second.settings) is not None, "the supervisor runs")
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    supervisor = second.running.supervisor
    assert second.up().supervisor == supervisor, "what the interrupted one started was good"
    assert local.cluster.status(second.settings).healthy


def test_a_start_while_the_cluster_is_ending_waits_and_starts_it(second: Second) -> None:
    supervisor = second.up().supervisor
    process = subprocess.Popen(
        [sys.executable, "-m", "local.cluster", "down"],
        cwd=PROJECT,
        env=environment(second),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    started = second.settings.state_dir / "run" / "started"
    eventually(lambda: not started.exists(), "the cluster is ending", within_s=20)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode in (130, 0), output
    assert second.up().supervisor != supervisor
    assert local.cluster.status(second.settings).healthy


def test_a_cluster_of_the_same_name_with_another_state_is_not_touched(second: Second, tmp_path: Path) -> None:
    supervisor = second.up().supervisor
    other = second.settings.model_copy(update={"state_dir": tmp_path / "other"})
    with pytest.raises(MantaError, match=f"another cluster called {INSTANCE} runs, with its state in "):
        local.cluster.up(other, second.toolchain, second.reporter)
    with pytest.raises(MantaError, match="choose another name with MANTA_INSTANCE"):
        local.cluster.down(other, second.reporter)
    assert second.running.supervisor == supervisor
    assert local.cluster.status(second.settings).healthy


def test_two_starts_at_once_make_one_cluster(second: Second) -> None:
    second.down()
    processes = [start_up(second), start_up(second)]
    outputs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    assert sum("already running" in output for output in outputs) == 1


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_killed_component_comes_back_and_pods_stay(with_pods: Second, name: str) -> None:
    second = with_pods
    second.up()
    second.kubectl("apply", "-f", "-", text=shell_pod("shell", "/bin/sleep", "infinity"))
    eventually(lambda: shell_runs(second), "the pod runs")
    container = second.get("pod", "shell")["status"]["containerStatuses"][0]["containerID"]
    before = {c.name: c for c in local.cluster.status(second.settings).components}[name]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)

    def back() -> bool:
        now = {c.name: c for c in local.cluster.status(second.settings).components}[name]
        return now.healthy and now.restarts == before.restarts + 1 and now.pid != before.pid

    eventually(back, f"{name} is healthy again")
    eventually(lambda: local.cluster.status(second.settings).healthy, "all are healthy")
    second.up()
    assert second.get("pod", "shell")["status"]["containerStatuses"][0]["containerID"] == container


def test_other_certificates_start_the_cluster_anew(second: Second) -> None:
    supervisor = second.up().supervisor
    (second.settings.state_dir / "pki" / "coredns.crt").unlink()
    assert second.up().supervisor != supervisor
    assert local.cluster.status(second.settings).healthy


def test_a_taken_port_is_named_with_its_setting(second: Second) -> None:
    second.down()
    port = second.settings.ports.api
    expected = pytest.raises(MantaError, match=rf"port {port} .* MANTA_PORT_API")
    with socket.create_server(("127.0.0.1", port)), expected:
        second.up()
    second.up()


def test_a_component_that_cannot_start_is_blamed_and_shown(
    second: Second, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = second.settings.model_copy(update={"state_dir": tmp_path / "state", "instance": "manta-bad"})
    damaged = tmp_path / "state" / "etcd" / "member" / "snap" / "db"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged" * 10_000)
    second.down()
    monkeypatch.setattr("local.cluster.lifecycle._START_PATIENCE_S", 15.0)
    reporter = PlainReporter(Console())
    try:
        with pytest.raises(MantaError, match="etcd is to blame") as failure:
            local.cluster.up(settings, second.toolchain, reporter)
        assert failure.value.detail, "the end of the log is shown"
    finally:
        local.cluster.purge(settings, reporter)
    assert not cgroups.exists("manta-bad")


def test_purge_refuses_a_folder_that_is_no_clusters_state(second: Second, tmp_path: Path) -> None:
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    settings = second.settings.model_copy(update={"state_dir": folder, "instance": "manta-none"})
    with pytest.raises(MantaError, match="not the state of a local cluster"):
        local.cluster.purge(settings, PlainReporter(Console()))
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_a_hanging_cluster_is_started_anew(second: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    second.up()
    frozen = pids(second)["apiserver"]
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    monkeypatch.setattr("local.cluster.lifecycle._RUNNING_PATIENCE_S", 3.0)
    second.up()
    assert pids(second)["apiserver"] != frozen
    assert local.cluster.status(second.settings).healthy
