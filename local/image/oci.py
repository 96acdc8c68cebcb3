"""Images as OCI layouts (github.com/opencontainers/image-spec, image-layout.md): written, named and streamed."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from local.image.tree import Tree, plan

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_NAME_ANNOTATION = "io.containerd.image.name"
_CHUNK = 4 << 20

TREE = "tree"
_TREE_FILE = "tree.json"
_TREE_STEP = "the packages of requirements.txt"


@dataclass(frozen=True)
class Layout:
    """A folder with one image in the OCI layout, and perhaps a folder `tree` with what its last layer is to hold.

    Such a layer is never a file of its own: it is made of the tree while the image is streamed.
    """

    folder: Path

    def add_tree(self, prefix: str, mounts: Mapping[str, Path]) -> None:
        """Say that `tree` belongs at `prefix` in the image, and where folders that its links point into lie here."""
        described = {"prefix": prefix, "mounts": {name: str(path) for name, path in mounts.items()}}
        (self.folder / _TREE_FILE).write_text(json.dumps(described))

    def stream(self, name: str) -> Stream:
        """The image as a tar archive in which it is called `name`. Raises OSError when files of it are gone."""
        stream = Stream(self.folder, name, self._tree())
        stream.require_files()
        return stream

    def _tree(self) -> Tree | None:
        try:
            described = json.loads((self.folder / _TREE_FILE).read_text())
        except FileNotFoundError:
            return None
        mounts = {name: Path(path) for name, path in described["mounts"].items()}
        return plan(self.folder / TREE, described["prefix"], mounts)


@dataclass(frozen=True)
class Stream:
    folder: Path
    name: str
    tree: Tree | None

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        files = sum(layer["size"] for layer in self._document(self._reference())["layers"])
        return files + (self.tree.size if self.tree else 0)

    def require_files(self) -> None:
        manifest = self._document(self._reference())
        for descriptor in (manifest["config"], *manifest["layers"]):
            self._blob(descriptor).stat()

    def write(self, target: IO[bytes], on_bytes: Callable[[int], None]) -> str:
        """Write the archive and return the image's digest, `sha256:...`; `on_bytes` counts what layers have given."""
        manifest = self._document(self._reference())
        config = self._document(manifest["config"])
        for layer in manifest["layers"]:
            with self._blob(layer).open("rb") as source:
                _member(target, _blob_name(layer), layer["size"], _chunks(source), on_bytes)
        if self.tree is not None:
            digest = hashlib.sha256()
            # A blob's name is its digest, and that is known only after the blob; containerd takes it from the content.
            _member(target, "blobs/sha256/tree", self.tree.size, _hashed(self.tree.chunks(), digest), on_bytes)
            described = {"mediaType": _LAYER, "digest": f"sha256:{digest.hexdigest()}", "size": self.tree.size}
            manifest["layers"].append(described)
            config["rootfs"]["diff_ids"].append(described["digest"])
            config.setdefault("history", []).append({"created": config.get("created"), "created_by": _TREE_STEP})
        manifest["config"] = {**manifest["config"], **_inline(target, config)}
        reference = {"mediaType": _MANIFEST, **_inline(target, manifest)}
        index = {"schemaVersion": 2, "manifests": [{**reference, "annotations": {_NAME_ANNOTATION: self.name}}]}
        _file(target, "index.json", json.dumps(index).encode())
        _file(target, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        target.write(bytes(2 * tarfile.BLOCKSIZE))
        return reference["digest"]

    def _reference(self) -> dict[str, Any]:
        return json.loads((self.folder / "index.json").read_text())["manifests"][0]

    def _document(self, descriptor: Mapping[str, Any]) -> dict[str, Any]:
        return json.loads(self._blob(descriptor).read_text())

    def _blob(self, descriptor: Mapping[str, Any]) -> Path:
        return self.folder / _blob_name(descriptor)


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
    data = _encoded(document)
    described = _described(data)
    (blobs / described["digest"].removeprefix("sha256:")).write_bytes(data)
    return described


def _inline(target: IO[bytes], document: Mapping[str, Any]) -> dict[str, Any]:
    data = _encoded(document)
    described = _described(data)
    _file(target, _blob_name(described), data)
    return described


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _described(data: bytes) -> dict[str, Any]:
    return {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def _blob_name(descriptor: Mapping[str, Any]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _file(target: IO[bytes], name: str, data: bytes) -> None:
    _member(target, name, len(data), [data], lambda _: None)


def _member(target: IO[bytes], name: str, size: int, chunks: Iterable[bytes], on_bytes: Callable[[int], None]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    target.write(entry.tobuf(tarfile.PAX_FORMAT))
    for chunk in chunks:
        target.write(chunk)
        on_bytes(len(chunk))
    target.write(bytes(-size % tarfile.BLOCKSIZE))


def _chunks(source: IO[bytes]) -> Generator[bytes]:
    while data := source.read(_CHUNK):
        yield data


def _hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Generator[bytes]:  # pyright: ignore[reportPrivateUsage]
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
