"""Images of the monitoring's programs, each of them one static file."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from local.image import build, oci
from local.image.build import Image
from local.image.tree import EPOCH

_RELOADER = "prometheus-config-reloader"
_RECIPE = "1"


def images(entry: Path, server: Path) -> tuple[Image, ...]:
    """All four, by the names under which the platform asks for them.

    `entry`: the toolchain's folder for monitoring, `server`: the one for Prometheus.
    """
    return (
        build.program("prometheus-operator", entry / "bin" / "operator"),
        build.program("alertmanager", entry / "bin" / "alertmanager"),
        build.program("prometheus", server / "bin" / "prometheus"),
        reloader(entry / "bin" / _RELOADER),
    )


def reloader(program: Path) -> Image:
    """The operator starts it by the path that it has in the published image."""
    key = hashlib.sha256(f"{_RECIPE}\0{program}".encode()).hexdigest()[:12]
    return Image(f"localhost/manta/{_RELOADER}", key, lambda folder, _: _build(folder, program))


def _build(folder: Path, program: Path) -> oci.Layout:
    folder.mkdir(parents=True)
    layer, inside = folder / "layer.tar", f"bin/{_RELOADER}"
    with tarfile.open(layer, "w") as archive:
        archive.add(program, inside, filter=_plain)
    return oci.write(folder, layer, {"Entrypoint": [f"/{inside}"], "User": "65532:65532"})


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    return entry
