"""Room on the disks, before hours of work are lost to a full one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local import environment
from local.choose import ClusterChoice, EngineChoice
from local.image.build import read_record
from local.settings import LocalSettings

GB = 10**9
# Measured: Go modules 3.2, Go's build cache 5.1, binaries 0.4; wheels unpacked in uv's cache 6.7, which .venv and the
# image share by hard links; the image's layers packed and unpacked in containerd 13, until then packed in the cache 6.
TOOLCHAIN, PYTHON, IMAGE_BUILD, IMAGE_STORE = 9 * GB, 7 * GB, 6 * GB, 13 * GB
# What building the image took is free again when pods run: Ray spills to this disk, kubelet evicts from a full one.
RUNNING = 4 * GB


@dataclass(frozen=True)
class Need:
    """`size` bytes in the folder `place`, which the setting `variable` moves elsewhere."""

    what: str
    size: int
    place: Path
    variable: str


@dataclass(frozen=True)
class Free:
    """A filesystem: its device number, and the bytes that may still be written to it."""

    device: int
    size: int


def needs(
    settings: LocalSettings, cluster: ClusterChoice, engine: EngineChoice, *, payloads: bool = True
) -> list[Need]:
    """What is still to be written; parts that an earlier run finished count no more. `payloads`: with their image."""
    found: list[Need] = []
    if not _is_built(settings, "cluster", cluster.own) or not _is_built(settings, "pulumi", engine.own):
        found.append(Need("toolchain", TOOLCHAIN, settings.cache_dir, "MANTA_CACHE_DIR"))
    if not environment.is_current():
        found.append(Need("Python packages", PYTHON, settings.cache_dir, "MANTA_CACHE_DIR"))
    if cluster.own:
        if not payloads or _has_image(settings):
            found.append(Need("running pods", RUNNING, settings.state_dir, "MANTA_STATE_DIR"))
        else:
            found.append(Need("building the image", IMAGE_BUILD, settings.cache_dir, "MANTA_CACHE_DIR"))
            found.append(Need("the image in the cluster", IMAGE_STORE, settings.state_dir, "MANTA_STATE_DIR"))
    return found


def problems(wanted: Iterable[Need], free_of: Callable[[Path], Free]) -> list[str]:
    """A sentence for each filesystem that lacks room for all that goes there."""
    by_device: dict[int, list[Need]] = {}
    room: dict[int, int] = {}
    for need in wanted:
        free = free_of(need.place)
        by_device.setdefault(free.device, []).append(need)
        room[free.device] = free.size
    return [_sentence(here, room[device]) for device, here in by_device.items() if _sum(here) > room[device]]


def free(place: Path) -> Free:
    """The filesystem that `place` is or would be on."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    status = os.statvfs(existing)
    return Free(existing.stat().st_dev, status.f_bavail * status.f_frsize)


def _sentence(here: list[Need], size: int) -> str:
    parts = ", ".join(f"{need.what} {need.size / GB:.0f} GB" for need in here)
    places = " and ".join(dict.fromkeys(str(need.place) for need in here))
    variables = " or ".join(dict.fromkeys(need.variable for need in here))
    return (
        f"the disk of {places} has {size / GB:.1f} GB free and {_sum(here) / GB:.0f} GB are needed ({parts}): "
        f"free some, or name a folder on another disk with {variables}"
    )


def _sum(here: Iterable[Need]) -> int:
    return sum(need.size for need in here)


def _is_built(settings: LocalSettings, module: str, wanted: bool) -> bool:
    return not wanted or any(settings.toolchain_dir.glob(f"{module}-*/manifest.json"))


def _has_image(settings: LocalSettings) -> bool:
    return any(tag.startswith("localhost/manta/ray:") for tag in read_record(settings))
