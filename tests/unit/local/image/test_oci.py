"""What is streamed to containerd is a valid OCI archive, with a digest that names exactly that content."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from local.image import oci, scratch

NAME = "localhost/manta/tool:1"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "tool"
    path.write_bytes(b"\x7fELF" + bytes(5000))
    return path


def archive(layout: oci.Layout) -> tuple[str, dict[str, bytes]]:
    target, counted = io.BytesIO(), 0

    def count(size: int) -> None:
        nonlocal counted
        counted += size

    stream = layout.stream(NAME)
    digest = stream.write(target, count)
    assert counted >= stream.size, "the bar would never reach its end"
    target.seek(0)
    with tarfile.open(fileobj=target) as opened:
        return digest, {entry.name: opened.extractfile(entry).read() for entry in opened}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], digest: str) -> bytes:
    """A blob by its content, as containerd finds it: names are not what it goes by."""
    found = [data for data in files.values() if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest]
    assert found, f"no member has the content {digest}"
    return found[0]


def test_every_descriptor_leads_to_its_content(tmp_path: Path, program: Path) -> None:
    digest, files = archive(scratch.build(tmp_path / "layout", program))
    index = json.loads(files["index.json"])
    assert index["manifests"][0]["digest"] == digest
    assert index["manifests"][0]["annotations"] == {"io.containerd.image.name": NAME}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    manifest = json.loads(blob(files, digest))
    config = json.loads(blob(files, manifest["config"]["digest"]))
    assert [layer["digest"] for layer in manifest["layers"]] == config["rootfs"]["diff_ids"]
    for layer in manifest["layers"]:
        assert len(blob(files, layer["digest"])) == layer["size"]


def test_a_tree_becomes_the_last_layer(tmp_path: Path, program: Path) -> None:
    layout = scratch.build(tmp_path / "layout", program)
    plain, _ = archive(layout)
    (layout.folder / oci.TREE).mkdir()
    (layout.folder / oci.TREE / "module.py").write_text("x = 1\n")
    layout.add_tree("opt/venv", {})
    digest, files = archive(layout)
    assert digest != plain
    manifest = json.loads(blob(files, digest))
    config = json.loads(blob(files, manifest["config"]["digest"]))
    layers = [layer["digest"] for layer in manifest["layers"]]
    assert layers == config["rootfs"]["diff_ids"]
    with tarfile.open(fileobj=io.BytesIO(blob(files, layers[-1]))) as layer:
        assert layer.getnames() == ["opt", "opt/venv", "opt/venv/module.py"]


def test_the_same_program_gives_the_same_digest_and_another_one_another(tmp_path: Path, program: Path) -> None:
    first, _ = archive(scratch.build(tmp_path / "one", program))
    again, _ = archive(scratch.build(tmp_path / "two", program))
    program.write_bytes(b"\x7fELF" + bytes(5001))
    changed, _ = archive(scratch.build(tmp_path / "three", program))
    assert first == again
    assert changed != first


def test_a_program_image_holds_one_program_and_runs_it_as_a_plain_user(tmp_path: Path, program: Path) -> None:
    digest, files = archive(scratch.build(tmp_path / "layout", program))
    manifest = json.loads(blob(files, digest))
    config = json.loads(blob(files, manifest["config"]["digest"]))["config"]
    assert config == {"Entrypoint": ["/tool"], "User": "65532:65532"}
    with tarfile.open(fileobj=io.BytesIO(blob(files, manifest["layers"][0]["digest"]))) as layer:
        assert [(entry.name, entry.mode) for entry in layer] == [("tool", 0o755)]
