"""Build what the cluster does not hold yet; images that it holds are known by a record beside the cluster's state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local import locks
from local.image import base, dockerfile, failures, oci, scratch
from local.image.removal import remove
from local.progress import Reporter, Stage
from local.settings import LocalSettings
from local.toolchain.build import Toolchain

CHECKOUT = Path(__file__).resolve().parents[2]
_RECORD = "images.json"
_RECIPE = "1"
_KEY_PATTERN = "[0-9a-f]" * 12


@dataclass(frozen=True)
class Image:
    """An image by the name that people read (`localhost/manta/ray`), the key of what goes into it, and its maker."""

    name: str
    key: str
    make: Callable[[Path, Stage], oci.Layout]

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.key}"

    @property
    def short_name(self) -> str:
        return self.name.rsplit("/", 1)[-1]


def programs(toolchain: Toolchain) -> tuple[Image, ...]:
    """The images of single programs, first the one that every pod of the cluster needs."""
    servers = {"ray-operator": toolchain.ray_operator, "versitygw": toolchain.versitygw}
    return (
        # The name and tag that containerd's configuration gives its sandboxes.
        Image("localhost/manta/pause", "1", lambda folder, _: scratch.build(folder, toolchain.pause)),
        *(_program(name, path) for name, path in servers.items()),
    )


def program(name: str, path: Path) -> Image:
    """The image of one static program, called `name` whatever its file is called."""
    return _program(name, path)


def ray(settings: LocalSettings) -> Image:
    """The image of all payloads; needs no toolchain, so that it can be made while that compiles."""
    parts = (_RECIPE.encode(), base.key().encode(), *(path.read_bytes() for path in dockerfile.inputs()))
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]
    return Image("localhost/manta/ray", key, lambda folder, stage: _build_ray(settings, folder, stage))


def ensure(settings: LocalSettings, image: Image, progress: Reporter) -> oci.Layout | None:
    """Build `image` unless the record says that the cluster holds it (then None); an interrupted build starts anew."""
    return None if image.tag in read_record(settings) else built(settings, image, progress)


def built(settings: LocalSettings, image: Image, progress: Reporter) -> oci.Layout:
    """`image` as a layout in the cache, whatever the cluster holds."""
    folder = settings.cache_dir / "image" / f"{image.short_name}-{image.key}"
    with progress.stage(f"image {image.short_name}") as stage:
        with locks.exclusive(folder.with_suffix(".lock"), lambda who: stage.note(f"waiting for {who}")):
            if (folder / "whole").exists():
                stage.result("already built")
                return oci.Layout(folder)
            try:
                layout = _whole(folder, lambda into: image.make(into, stage))
            except OSError as error:
                raise failures.storage(image.short_name, folder.parent, error) from error
        return layout


def read_record(settings: LocalSettings) -> dict[str, str]:
    """Tag -> digest of the images that the cluster was given; empty after the cluster's state was deleted."""
    try:
        return json.loads((settings.state_dir / _RECORD).read_text())
    except (OSError, ValueError):
        return {}


def write_record(settings: LocalSettings, digests: dict[str, str]) -> None:
    scratch_file = settings.state_dir / f"{_RECORD}.new"
    scratch_file.write_text(json.dumps(digests, indent=1))
    scratch_file.replace(settings.state_dir / _RECORD)


def _program(name: str, path: Path) -> Image:
    # The toolchain's folder is named by a digest of all that went into the program.
    key = hashlib.sha256(f"{_RECIPE}\0{path}".encode()).hexdigest()[:12]
    return Image(f"localhost/manta/{name}", key, lambda folder, _: scratch.build(folder, path))


def _build_ray(settings: LocalSettings, folder: Path, stage: Stage) -> oci.Layout:
    foundation = settings.cache_dir / "image" / f"base-{base.key()}"
    if not (foundation / "whole").exists():
        _whole(foundation, lambda into: base.build(into, stage))
    return dockerfile.build(settings, oci.Layout(foundation), folder, stage)


def _whole(folder: Path, make: Callable[[Path], oci.Layout]) -> oci.Layout:
    """What `make` leaves in a folder is used only when it was finished: the mark comes last."""
    kind = folder.name.rpartition("-")[0]
    for older in (folder, *folder.parent.glob(f"{kind}-{_KEY_PATTERN}")):
        remove(older)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        layout = make(folder)
    except BaseException:
        remove(folder)
        raise
    (folder / "whole").touch()
    return layout
