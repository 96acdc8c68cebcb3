"""What the cluster's containerd holds, asked as its own client would."""

from __future__ import annotations

import subprocess

from local.cluster import Cluster

PROBE = "localhost/manta/image-probe"


def images(cluster: Cluster) -> dict[str, str]:
    """Image name -> its labels."""
    rows = [line.split() for line in containerd(cluster, "images", "ls").splitlines()[1:]]
    return {row[0]: row[-1] for row in rows}


def containerd(cluster: Cluster, *arguments: str) -> str:
    done = subprocess.run(cluster.ctr(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
