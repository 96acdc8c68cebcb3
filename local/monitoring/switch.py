"""Whether the local platform is monitored: asked for once (`make up MONITORING=1`), and so until it is said otherwise.

It is off at first, since it is some minutes more to compile, and 250 MB of memory.
"""

from __future__ import annotations

from pathlib import Path

from local.cluster.files import write_private
from local.errors import MantaError
from local.settings import LocalSettings

# What the stack's program reads (infra/kubernetes/monitoring.py): without it the local platform has no monitoring.
VARIABLE = "MANTA_MONITORING_CRDS"
_FILE = "monitoring"


def wanted(settings: LocalSettings, asked: str) -> bool:
    """`asked` is 1, 0, or empty for what was asked before; raises MantaError for anything else."""
    if asked not in ("", "0", "1"):
        raise MantaError(f"MONITORING={asked} is neither 1 (on) nor 0 (off)")
    return asked == "1" or (not asked and (settings.state_dir / _FILE).exists())


def remember(settings: LocalSettings, entry: Path | None) -> None:
    """On with the toolchain's folder `entry`, off with None."""
    file = settings.state_dir / _FILE
    if entry is None:
        file.unlink(missing_ok=True)
    else:
        write_private(file, str(entry / "share" / "monitoring" / "crds"))


def variables(settings: LocalSettings) -> dict[str, str]:
    """For the engine."""
    file = settings.state_dir / _FILE
    return {VARIABLE: file.read_text()} if file.exists() else {}
