"""Images of the monitoring's programs, each of them one static file."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from local.image import oci
from local.image.build import Image
from local.image.tree import EPOCH

_RECIPE = "2"


def images(entry: Path, server: Path) -> tuple[Image, ...]:
    """All four, by the names under which the platform asks for them.

    `entry`: the toolchain's folder for monitoring, `server`: the one for Prometheus.
    """
    return (
        program("prometheus-operator", entry / "bin" / "operator"),
        program("prometheus-config-reloader", entry / "bin" / "prometheus-config-reloader"),
        program("alertmanager", entry / "bin" / "alertmanager"),
        program("prometheus", server / "bin" / "prometheus"),
    )


def program(name: str, path: Path) -> Image:
    """In /bin: the operator starts the reloader by its path in the published image, and mounts the servers' data on
    /prometheus and /alertmanager, where a program must not lie."""
    key = hashlib.sha256(f"{_RECIPE}\0{name}\0{path}".encode()).hexdigest()[:12]
    return Image(f"localhost/manta/{name}", key, lambda folder, _: _build(folder, name, path))


def _build(folder: Path, name: str, path: Path) -> oci.Layout:
    folder.mkdir(parents=True)
    layer, inside = folder / "layer.tar", f"bin/{name}"
    with tarfile.open(layer, "w") as archive:
        archive.add(path, inside, filter=_plain)
    return oci.write(folder, layer, {"Entrypoint": [f"/{inside}"], "User": "65532:65532"})


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    return entry
