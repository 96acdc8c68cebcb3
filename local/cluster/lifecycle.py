"""Up and down of the cluster: from any state it can be found in to the one that was asked for."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from local.cluster import cgroups, configs, kubeconfigs, names, pki, ports, publish, readiness
from local.cluster.components import components
from local.cluster.files import write_private
from local.cluster.handle import Cluster
from local.cluster.layout import NODE_BIN, NODE_STATE, Layout
from local.cluster.spec import NodeSpec
from local.cluster.status import STATUS_FILE, find
from local.errors import MantaError
from local.progress import Reporter, Stage
from local.settings import LocalSettings

_CHECKOUT = Path(__file__).resolve().parents[2]

_START_PATIENCE_S = 120.0
# A cluster that already runs and does not answer for this long is started anew.
_RUNNING_PATIENCE_S = 30.0
_STOP_PATIENCE_S = 14.0
_KILL_PATIENCE_S = 10.0

_STARTED_FILE = "started"
_PROGRAMS = ("containerd", "runc", "haproxy", "ip", "iptables", "nsenter")
_CAP_SYS_RESOURCE = 24


class Binaries(Protocol):
    """What the cluster needs of the toolchain: a folder with the programs `kube` and `coredns`."""

    @property
    def bin_dir(self) -> Path: ...


def up(settings: LocalSettings, toolchain: Binaries, progress: Reporter) -> Cluster:
    """Bring the cluster up and return once it is ready for work. A healthy one is left alone, one that was started from
    other settings, binaries or certificates is started anew, and what a killed one left behind is cleared first."""
    _require_root()
    _require_programs()
    layout = Layout(settings.state_dir)
    _make_folders(layout)
    with _one_at_a_time(layout), progress.stage("cluster") as stage:
        wanted = _prepare(settings, toolchain, layout)
        cluster = find(settings)
        if cluster is not None and _read(layout.run / _STARTED_FILE) == wanted:
            try:
                readiness.wait(cluster, settings, stage, patience_s=_RUNNING_PATIENCE_S)
            except MantaError as error:
                stage.note(f"{error.sentence.partition(':')[0]}: starting it anew")
            else:
                stage.result("already running")
                return cluster
        if cluster is not None:
            stage.update(detail="stopping the one that runs")
            _stop(settings, layout)
        cluster = _start(settings, layout, stage)
        readiness.wait(cluster, settings, stage, patience_s=_START_PATIENCE_S)
        write_private(layout.run / _STARTED_FILE, wanted)
        return cluster


def down(settings: LocalSettings, progress: Reporter) -> None:
    """Stop the cluster and remove all that is not its state, from whatever state it is in; at most about 15 s."""
    _require_root()
    layout = Layout(settings.state_dir)
    if not layout.run.exists() and not cgroups.exists(settings.instance):
        return
    layout.run.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(layout), progress.stage("cluster down") as stage:
        if not _stop(settings, layout):
            stage.result("was not running")


def purge(settings: LocalSettings, progress: Reporter) -> None:
    """Stop the cluster and remove its state: the database, the images, the volumes, every credential, for good."""
    down(settings, progress)
    state = settings.state_dir
    if not state.exists():
        return
    if not Layout(state).config.is_dir() and any(state.iterdir()):
        raise MantaError(f"{state} is not the state of a local cluster, so it stays: look at MANTA_STATE_DIR")
    with progress.stage("remove the cluster's state"):
        shutil.rmtree(state)


def _prepare(settings: LocalSettings, toolchain: Binaries, layout: Layout) -> str:
    """Write everything a start reads; return a digest of what a running cluster cannot take in without a restart."""
    pki.ensure(layout)
    files = configs.render(f"/{settings.instance}", may_lower_oom_score=_has_capability(_CAP_SYS_RESOURCE))
    for name, content in files.items():
        write_private(layout.config / name, content)
    kubeconfigs.write_for_components(layout)
    kubeconfigs.write_for_people(layout, settings.instance, settings.ports.api)
    publish.write_configuration(layout, settings)
    spec = NodeSpec(
        instance=settings.instance,
        node_name=names.NODE_NAME,
        root=str(layout.root),
        logs=str(NODE_STATE / "logs"),
        status=str(NODE_STATE / "run" / STATUS_FILE),
        cgroup=settings.instance,
        address=names.NODE_NETWORK,
        service_network=names.SERVICE_NETWORK,
        writable=layout.node_mounts(),
        readable=((str(toolchain.bin_dir.resolve()), str(NODE_BIN)),),
        components=components(),
    ).to_json()
    write_private(layout.config / "node.json", spec)
    certificates = sorted(layout.pki.glob("*.crt"))
    parts = [spec, str(settings.ports.api), *files.values(), *(file.read_text() for file in certificates)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _start(settings: LocalSettings, layout: Layout, stage: Stage) -> Cluster:
    stage.update(detail="clearing what an earlier one left")
    _clear(settings, layout)
    ports.require_free({"api": settings.ports.api, **_free_to_move(layout)})
    cgroups.create(settings.instance)
    log = layout.logs / "supervisor.log"
    with log.open("ab") as output:
        # -S and -E: no site packages and no PYTHON* variables, for a small process that nothing can bend.
        command = [sys.executable, "-E", "-s", "-S", "-m", "local.cluster.supervisor", str(layout.config / "node.json")]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=_CHECKOUT,
            start_new_session=True,
            check=False,
        )
    cluster = find(settings)
    if done.returncode != 0 or cluster is None:
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise MantaError(f"the cluster's node could not be built: read {log}", lines)
    return cluster


def _free_to_move(layout: Layout) -> dict[str, int]:
    return {route.name: route.local_port for route in publish.remembered(layout)}


def _stop(settings: LocalSettings, layout: Layout) -> bool:
    """End the node and clear up; false when none ran."""
    cluster = find(settings)
    if cluster is not None:
        os.kill(cluster.supervisor, signal.SIGTERM)
        if not _gone(cluster.supervisor, _STOP_PATIENCE_S):
            os.kill(cluster.supervisor, signal.SIGKILL)
            if not _gone(cluster.supervisor, _KILL_PATIENCE_S):
                raise MantaError(
                    f"process {cluster.supervisor}, the cluster's supervisor, does not end though it was killed: "
                    "one of its processes hangs in the kernel, look at `dmesg`, then run `make down` again"
                )
    _clear(settings, layout)
    return cluster is not None


def _gone(pid: int, patience_s: float) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(process) as file:
        import select

        poll = select.poll()
        poll.register(file, select.POLLIN)
        return bool(poll.poll(patience_s * 1000))


def _clear(settings: LocalSettings, layout: Layout) -> None:
    """Remove what outlives a node: its control groups, with any process that is still in one, and its notes."""
    try:
        cgroups.remove(settings.instance)
    except TimeoutError as error:
        raise MantaError(f"{error}: end these processes, then run the same command again") from None
    for name in (STATUS_FILE, _STARTED_FILE):
        (layout.run / name).unlink(missing_ok=True)


def _make_folders(layout: Layout) -> None:
    try:
        layout.state.mkdir(parents=True, exist_ok=True)
        layout.state.chmod(0o700)
        for folder in layout.folders():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (layout.config / "cni").mkdir(mode=0o700, exist_ok=True)
        for name in names.VOLUMES:
            volume = layout.volumes / name
            volume.mkdir(mode=0o770, exist_ok=True)
            volume.chmod(0o770)
            os.chown(volume, names.VOLUME_OWNER, names.VOLUME_OWNER)
        layout.volumes.chmod(0o755)  # pods of that user pass through it
    except OSError as error:
        raise MantaError(f"the state folder {layout.state} cannot be used: {error} (MANTA_STATE_DIR chooses it)") from None


@contextmanager
def _one_at_a_time(layout: Layout) -> Generator[None]:
    """Hold off another up or down of the same cluster; released by the kernel however this process ends."""
    with (layout.run / "lifecycle.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _require_root() -> None:
    if os.geteuid() != 0:
        raise MantaError("the local cluster needs root for its namespaces: run the same command with sudo")


def _require_programs() -> None:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if not Path("/usr/lib/cni/ptp").exists():
        missing.append("/usr/lib/cni/ptp")
    if missing:
        raise MantaError(
            f"the local cluster needs {', '.join(missing)}: "
            "apt-get install containerd runc containernetworking-plugins haproxy iproute2 iptables util-linux"
        )


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""
