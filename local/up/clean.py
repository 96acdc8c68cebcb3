"""`make clean`: this machine as if Manta had never run on it, but for Debian's packages."""

from __future__ import annotations

import shutil

from local import cluster
from local.environment import CHECKOUT
from local.progress import Reporter
from local.settings import LocalSettings
from local.sim import settings as sim


def clean(settings: LocalSettings, report: Reporter) -> None:
    """Stop the cluster and the simulated AWS, delete their state for good and with it the caches.

    State is the database, images, volumes and the stacks' records. The caches of Go and uv are left: they are the
    user's, shared with other projects.
    """
    cluster.purge(settings, report)
    cluster.purge(sim.load().cluster, report)
    with report.stage(f"remove {settings.cache_dir}"):
        shutil.rmtree(settings.cache_dir, ignore_errors=True)
    with report.stage("remove the Python environment"):
        # This process runs from it; what is loaded stays usable until it ends.
        shutil.rmtree(CHECKOUT / ".venv", ignore_errors=True)
