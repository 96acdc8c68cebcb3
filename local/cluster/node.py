"""Starting and ending the node: its supervisor, and what outlives that."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from local.cluster import cgroups, ports, publish
from local.cluster.files import write_private
from local.cluster.handle import Cluster
from local.cluster.health import SPEC_FILE, STATUS_FILE, find
from local.cluster.layout import Layout
from local.errors import MantaError
from local.settings import LocalSettings

_CHECKOUT = Path(__file__).resolve().parents[2]

_STOP_PATIENCE_S = 14.0  # the supervisor's own stages end before that
_KILL_PATIENCE_S = 10.0
_NOTE_PATIENCE_S = 2.0

_STARTED_FILE = "started"
_SUPERVISOR = "local.cluster.supervisor"


def started_from(layout: Layout) -> str:
    """The digest that the running node was started with; empty when there is none."""
    try:
        return (layout.run / _STARTED_FILE).read_text()
    except FileNotFoundError:
        return ""


def start(settings: LocalSettings, layout: Layout, digest: str) -> Cluster:
    """Build the node and start its components, from the configuration that is on disk; none may run."""
    _clear(settings, layout)
    routes = publish.remembered(layout, settings)
    ports.require_free({"api": settings.ports.api, **{route.name: route.local_port for route in routes}})
    log = layout.logs / "supervisor.log"
    try:
        cgroups.create(settings.instance)
        # First, so that whoever interrupts us between the two does not make a good node look like another's.
        write_private(layout.run / _STARTED_FILE, digest)
        status = _launch(layout, log)
    except OSError as error:
        raise MantaError(f"the cluster's node could not be built: {error}: a container may lack the rights") from None
    cluster = find(settings)
    if status != 0 or cluster is None:
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise MantaError(f"the cluster's node could not be built: the reason is at the end of {log}", lines)
    return cluster


def stop(settings: LocalSettings, layout: Layout) -> bool:
    """End the node and clear up; false when none ran."""
    cluster = find(settings)
    # First, so that an `up` that comes while the node is ending does not take it for one that runs.
    (layout.run / _STARTED_FILE).unlink(missing_ok=True)
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


def _launch(layout: Layout, log: Path) -> int:
    # -S and -E: no site packages and no PYTHON* variables, for a small process that nothing can bend.
    command = [sys.executable, "-E", "-s", "-S", "-m", _SUPERVISOR, str(layout.config / SPEC_FILE)]
    with log.open("ab") as output:
        log.chmod(0o600)
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=_CHECKOUT,
            start_new_session=True,
            check=False,
        ).returncode


def _gone(pid: int, patience_s: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor) as process:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        if not poll.poll(patience_s * 1000):
            return False
    # Its parent, the machine's init, has yet to take note; one that never does must not hold us up.
    deadline = time.monotonic() + _NOTE_PATIENCE_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return True


def _clear(settings: LocalSettings, layout: Layout) -> None:
    """Remove what outlives a node: its control groups, with any process that is still in one, and its notes."""
    _refuse_anothers(settings, layout)
    try:
        cgroups.remove(settings.instance)
    except TimeoutError as error:
        raise MantaError(f"{error}: end these processes, then run the same command again") from None
    for name in (STATUS_FILE, _STARTED_FILE):
        (layout.run / name).unlink(missing_ok=True)


def _refuse_anothers(settings: LocalSettings, layout: Layout) -> None:
    """MantaError when the control groups of this name belong to a cluster with another state folder."""
    ours = layout.config / SPEC_FILE
    for pid in cgroups.processes(settings.instance):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        except OSError:
            continue
        spec = Path(words[-1])
        if _SUPERVISOR in words and spec != ours and spec.exists():
            raise MantaError(
                f"another cluster called {settings.instance} runs, with its state in {spec.parents[1]}: "
                "choose another name with MANTA_INSTANCE, or that folder with MANTA_STATE_DIR"
            )
