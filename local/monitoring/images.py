"""Images of the monitoring's programs: the operator's are static, Debian's bring the C library along."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping
from pathlib import Path

from local.image import build, oci
from local.image.build import Image
from local.image.tree import EPOCH
from local.monitoring import debian
from local.settings import LocalSettings

_SERVERS = {"prometheus": "usr/bin/prometheus", "alertmanager": "usr/bin/prometheus-alertmanager"}
_LIBRARIES = ("libc.so.6", "ld-linux-*.so.*")
_RECIPE = "1"


def images(settings: LocalSettings, entry: Path) -> tuple[Image, ...]:
    """All four, by the names under which the platform asks for them. `entry`: the toolchain's folder for monitoring."""
    files = debian.ensure(settings)
    reloader = entry / "bin" / "prometheus-config-reloader"
    return (
        build.program("prometheus-operator", entry / "bin" / "operator"),
        # The operator starts it by this path, as it lies in the published image.
        image("prometheus-config-reloader", {"bin/prometheus-config-reloader": reloader}),
        *(image(name, _with_library(files, program)) for name, program in _SERVERS.items()),
    )


def _with_library(files: Path, program: str) -> dict[str, Path]:
    """`program` first, then the C library and what loads it, which lies where every program names it."""
    libraries = {path for root in ("lib", "lib64") for name in _LIBRARIES for path in (files / root).rglob(name)}
    return {str(path.relative_to(files)): path for path in (files / program, *sorted(libraries))}


def image(name: str, content: Mapping[str, Path]) -> Image:
    """An image of these files (by their path in it), whose first is the entry point."""
    digest = hashlib.sha256(_RECIPE.encode())
    for inside, path in content.items():
        digest.update(f"{inside}\0".encode() + path.read_bytes())
    return Image(f"localhost/manta/{name}", digest.hexdigest()[:12], lambda folder, _: _build(folder, content))


def _build(folder: Path, content: Mapping[str, Path]) -> oci.Layout:
    folder.mkdir(parents=True)
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        for inside, path in content.items():
            archive.add(path, inside, filter=_plain)
    config = {
        "Entrypoint": [f"/{next(iter(content))}"],
        "User": "65532:65532",
        # The C library's own resolver would look for files that are not here.
        "Env": ["GODEBUG=netdns=go"],
    }
    return oci.write(folder, layer, config)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    return entry
