"""`make clean`: this machine as if Manta had never run on it, but for Debian's packages."""

from __future__ import annotations

import shutil

from local import cluster
from local.environment import CHECKOUT
from local.progress import Reporter
from local.settings import LocalSettings


def clean(settings: LocalSettings, report: Reporter) -> None:
    """Stop the cluster, delete its state for good (database, images, volumes, the stacks' records) and the caches.

    The caches of Go and uv are left: they are the user's, shared with other projects.
    """
    cluster.purge(settings, report)
    with report.stage(f"remove {settings.cache_dir}"):
        shutil.rmtree(settings.cache_dir, ignore_errors=True)
    with report.stage("remove the Python environment"):
        # This process runs from it; what is loaded stays usable until it ends.
        shutil.rmtree(CHECKOUT / ".venv", ignore_errors=True)
