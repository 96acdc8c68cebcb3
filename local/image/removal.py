"""Delete folders that builders worked in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def remove(folder: Path) -> None:
    """Delete `folder`, first unmounting what is mounted below it.

    debootstrap and buildah leave mounts behind when they are killed; deleting through one would empty what is mounted.
    """
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4]
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", point], check=True)
    shutil.rmtree(folder, ignore_errors=True)
