"""Up and down of the cluster: from any state it can be found in to the one that was asked for."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from local.cluster import cgroups, node, preparation, readiness
from local.cluster.handle import Cluster
from local.cluster.health import find
from local.cluster.layout import Layout
from local.cluster.preparation import Binaries
from local.cluster.spec import NOTHING, Addition
from local.errors import MantaError
from local.progress import Reporter
from local.settings import LocalSettings

_START_PATIENCE_S = 120.0
# A cluster that already runs and does not answer for this long is started anew.
_RUNNING_PATIENCE_S = 30.0


def up(settings: LocalSettings, toolchain: Binaries, progress: Reporter, *, addition: Addition = NOTHING) -> Cluster:
    """Bring the cluster up and return once it is ready for work. A healthy one is left alone, one that was started from
    other settings, binaries or certificates is started anew, and what a killed one left behind is cleared first."""
    preparation.require_root()
    preparation.require_programs()
    layout = Layout(settings.state_dir)
    preparation.make_folders(layout)
    with _one_at_a_time(layout), progress.stage("cluster") as stage:
        wanted = preparation.prepare(settings, toolchain, layout, addition)
        cluster = find(settings)
        if cluster is not None and node.started_from(layout) == wanted:
            try:
                readiness.wait(cluster, settings, stage, patience_s=_RUNNING_PATIENCE_S)
            except MantaError:
                stage.note(f"the cluster runs, but does not answer for {_RUNNING_PATIENCE_S:.0f} s: starting it anew")
            else:
                stage.result("already running")
                return cluster
        if cluster is not None:
            stage.update(detail="stopping the one that runs")
            node.stop(settings, layout)
        stage.update(detail="starting")
        cluster = node.start(settings, layout, wanted)
        readiness.wait(cluster, settings, stage, patience_s=_START_PATIENCE_S)
        return cluster


def down(settings: LocalSettings, progress: Reporter) -> None:
    """Stop the cluster and remove all that is not its state, from whatever state it is in; at most about 15 s."""
    preparation.require_root()
    layout = Layout(settings.state_dir)
    if not layout.run.exists() and not cgroups.exists(settings.instance):
        return
    layout.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _one_at_a_time(layout), progress.stage("cluster down") as stage:
        if not node.stop(settings, layout):
            stage.result("was not running")


def purge(settings: LocalSettings, progress: Reporter) -> None:
    """Stop the cluster and remove its state: the database, the images, the volumes, every credential, for good."""
    down(settings, progress)
    state = settings.state_dir
    if not state.exists():
        return
    if not Layout(state).authorities.is_dir() and any(state.iterdir()):
        raise MantaError(f"{state} is not the state of a local cluster, so it stays: look at MANTA_STATE_DIR")
    mounted = mounts_below(state, Path("/proc/self/mountinfo").read_text())
    if mounted:
        raise MantaError(f"{mounted[0]} is a mount in the state folder, so nothing is removed: unmount it first")
    with progress.stage("remove the cluster's state"):
        shutil.rmtree(state)


def mounts_below(folder: Path, mountinfo: str) -> list[Path]:
    """Mount points in `folder`, itself not counted, parsed from a /proc/self/mountinfo text."""
    points = (Path(line.split()[4]) for line in mountinfo.splitlines())
    return [point for point in points if folder in point.parents]


@contextmanager
def _one_at_a_time(layout: Layout) -> Generator[None]:
    """Hold off another up or down of the same cluster; released by the kernel however this process ends."""
    with (layout.run / "lifecycle.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
