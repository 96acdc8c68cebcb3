"""Images that hold one static program and nothing else: no shell, no libraries, nothing to exploit or to update."""

from __future__ import annotations

import tarfile
from pathlib import Path

from local.image import oci
from local.image.tree import EPOCH

# An arbitrary id without a name anywhere: pods of the restricted level must not run as root.
_USER = "65532:65532"


def build(folder: Path, program: Path) -> oci.Layout:
    """A layout in `folder` whose entry point is `program`, at `/<name>`; the same program gives the same digest."""
    layer = folder / "layer.tar"
    folder.mkdir(parents=True)
    with tarfile.open(layer, "w") as archive:
        entry = tarfile.TarInfo(program.name)
        entry.size, entry.mode, entry.mtime = program.stat().st_size, 0o755, EPOCH
        with program.open("rb") as source:
            archive.addfile(entry, source)
    return oci.write(folder, layer, {"Entrypoint": [f"/{program.name}"], "User": _USER})
