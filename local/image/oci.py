"""Images as OCI layouts (github.com/opencontainers/image-spec, image-layout.md): written, named and streamed."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CHUNK = 4 << 20


@dataclass(frozen=True)
class Layout:
    """A folder with one image in the OCI layout."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """The index's descriptor of the image's manifest: mediaType, digest, size."""
        return json.loads((self.folder / "index.json").read_text())["manifests"][0]

    @property
    def digest(self) -> str:
        """`sha256:...` of the manifest: what a pod's image reference ends in."""
        return self.manifest["digest"]

    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(path.stat().st_size for path in self._blobs())

    def write_archive(self, target: IO[bytes], name: str, on_bytes: Callable[[int], None]) -> None:
        """Stream the layout as a tar archive in which the image is called `name`; `on_bytes` counts."""
        descriptor = {**self.manifest, "annotations": {"io.containerd.image.name": name}}
        index = {"schemaVersion": 2, "manifests": [descriptor]}
        with tarfile.open(fileobj=target, mode="w|", bufsize=_CHUNK, format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(archive, "index.json", json.dumps(index).encode())
            for blob in self._blobs():
                entry = tarfile.TarInfo(f"blobs/sha256/{blob.name}")
                entry.size = blob.stat().st_size
                with blob.open("rb") as source:
                    archive.addfile(entry, _Counted(source, on_bytes))  # type: ignore[arg-type]

    def _blobs(self) -> list[Path]:
        return sorted((self.folder / "blobs" / "sha256").iterdir())


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, source: IO[bytes], on_bytes: Callable[[int], None]) -> None:
        self._source = source
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self._on_bytes(len(data))
        return data


def write(folder: Path, layer: Path, config: Mapping[str, Any]) -> Layout:
    """Make `folder` a layout of one image with one layer, the uncompressed tar file `layer`, which is moved into it.

    The same layer and `config` (the runtime part: Entrypoint, User, Env) give the same digest.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with layer.open("rb") as stream:
        layer_digest = hashlib.file_digest(stream, "sha256").hexdigest()
    layer_size = layer.stat().st_size
    layer.rename(blobs / layer_digest)
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": {"mediaType": _CONFIG, **_put(blobs, image)},
        "layers": [{"mediaType": _LAYER, "digest": f"sha256:{layer_digest}", "size": layer_size}],
    }
    index = {"schemaVersion": 2, "manifests": [{"mediaType": _MANIFEST, **_put(blobs, manifest)}]}
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))
    return Layout(folder)


def _put(blobs: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
