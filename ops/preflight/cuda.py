"""Whether the machines' NVIDIA driver can run the CUDA that the image of the runs brings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.preflight.outcome import Outcome
from ops.preflight.stackfile import Wanted

PINS = Path(__file__).resolve().parents[2] / "payloads" / "requirements.txt"
# The oldest driver that runs every minor version of a CUDA, on Linux: NVIDIA's CUDA Toolkit release notes.
_LEAST: Mapping[int, str] = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
_RUNTIME = re.compile(r"^nvidia-cuda-runtime(?:-cu\d+)?==(\d+)\.(\d+)", re.MULTILINE)


def check(wanted: Wanted, pins: Path = PINS) -> Iterator[Outcome]:
    """The image's CUDA is that of torch's wheels among the pins from which the image is built."""
    if not wanted.gpu_types:
        return
    try:
        found = _RUNTIME.search(pins.read_text())
    except OSError:
        yield Outcome("CUDA", "unknown", f"there is no {pins.name} that says which CUDA the image of the runs has")
        return
    if found is None:
        yield Outcome("CUDA", "warning", "the image of the runs has no CUDA, so its programs use no GPU")
        return
    major, version = int(found[1]), f"{found[1]}.{found[2]}"
    least = _LEAST.get(major)
    if least is None:
        yield Outcome("CUDA", "unknown", f"which driver CUDA {version} needs is not known here: add it to {__name__}")
    elif _parts(wanted.driver) < _parts(least):
        says = (
            f"driver {wanted.driver} (manta:aws.capacity.ami.driver) is too old for the image's CUDA {version}, which "
            f"needs {least}: programs would find no GPU; take a newer machine image, or build with an older torch"
        )
        yield Outcome("CUDA", "failed", says)
    else:
        yield Outcome("CUDA", "ok", f"driver {wanted.driver} runs the image's CUDA {version}")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
