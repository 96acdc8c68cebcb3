"""Images of the monitoring's programs: the operator's are static, Debian's bring the C library along."""

from __future__ import annotations

import hashlib
import tarfile
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
    operator = {"prometheus-operator": "operator", "prometheus-config-reloader": "prometheus-config-reloader"}
    return (
        *(build.program(name, entry / "bin" / program) for name, program in operator.items()),
        *(_server(name, files, program) for name, program in _SERVERS.items()),
    )


def _server(name: str, files: Path, program: str) -> Image:
    # Debian's versions of both change the programs' bytes.
    content = (files / program).read_bytes() + b"".join(path.read_bytes() for path in _libraries(files))
    key = hashlib.sha256(_RECIPE.encode() + content).hexdigest()[:12]

    return Image(f"localhost/manta/{name}", key, lambda folder, _: _build(folder, files, program))


def _build(folder: Path, files: Path, program: str) -> oci.Layout:
    folder.mkdir(parents=True)
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        for path in (files / program, *_libraries(files)):
            archive.add(path, str(path.relative_to(files)), filter=_plain)
    config = {
        "Entrypoint": [f"/{program}"],
        "User": "65532:65532",
        # The C library's own resolver would look for files that are not here.
        "Env": ["GODEBUG=netdns=go"],
    }
    return oci.write(folder, layer, config)


def _libraries(files: Path) -> list[Path]:
    """The C library and the program that loads it, which lies where every program names it; links stay links."""
    return sorted({path for root in ("lib", "lib64") for name in _LIBRARIES for path in (files / root).rglob(name)})


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = EPOCH
    return entry
