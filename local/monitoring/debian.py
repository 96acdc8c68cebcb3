"""Programs out of Debian's packages without installing them: nothing is started, and no configuration is left."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from local import locks, processes
from local.errors import MantaError
from local.settings import LocalSettings

# promtool is in it. Its server finds no pods: Debian builds it without that.
PACKAGES = ("prometheus",)


def ensure(settings: LocalSettings) -> Path:
    """A folder in the cache that holds the files of PACKAGES as they would lie below /; raises MantaError."""
    folder = settings.cache_dir / "debian" / "monitoring"
    if (folder / "whole").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(folder.with_suffix(".lock"), lambda _: None):
        if not (folder / "whole").exists():
            _fetch(folder)
    return folder


def promtool(settings: LocalSettings) -> Path:
    return ensure(settings) / "usr" / "bin" / "promtool"


def _fetch(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".debs-", dir=folder.parent) as scratch:
        download = ["apt-get", "-q", "download", *PACKAGES]
        ended = processes.stream(download, cwd=Path(scratch))
        if ended.status:
            # The lists may be older than the archive, or not be there at all.
            processes.stream(["apt-get", "-q", "update"])
            ended = processes.stream(download, cwd=Path(scratch))
        if ended.status:
            raise MantaError(
                f"apt-get cannot fetch {', '.join(PACKAGES)}: Debian 12's main archive has them, look at "
                "/etc/apt/sources.list and at the network, and start again",
                ended.output,
            )
        into = Path(scratch, "files")
        for package in sorted(Path(scratch).glob("*.deb")):
            unpacked = processes.stream(["dpkg-deb", "--extract", str(package), str(into)])
            if unpacked.status:
                raise MantaError(f"{package.name} cannot be unpacked: look for a full disk", unpacked.output)
        (into / "whole").touch()
        into.rename(folder)
