"""Instance families, their sizes and GPUs. The table and its date lie beside this file."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_suffix(".json")


@functools.cache
def _families() -> dict[str, dict[str, Any]]:
    return json.loads(_TABLE.read_text())["families"]


def families() -> list[str]:
    return list(_families())


def gpu_families() -> list[str]:
    return [family for family in _families() if has_gpus(family)]


def sizes(family: str) -> list[str]:
    """From the smallest to the largest; empty for a family that does not exist."""
    return list(_families().get(family, {}).get("sizes", {}))


def has_gpus(family: str) -> bool:
    """Whether its machines have whole NVIDIA GPUs."""
    return "gpu" in _families().get(family, {})


def gpus(instance_type: str) -> int:
    """NVIDIA GPUs of a machine; 0 also for one that does not exist."""
    return int(_size(instance_type).get("gpus", 0))


def cpus(instance_type: str) -> int:
    """vCPUs of a machine; 0 for one that does not exist."""
    return int(_size(instance_type).get("cpus", 0))


def architecture(family: str) -> str:
    """`amd64` or `arm64`."""
    return str(_families()[family]["arch"])


def has_instance_store(family: str) -> bool:
    """Whether machines of the family come with NVMe disks."""
    return any("nvmeGB" in size for size in _families()[family]["sizes"].values())


def most_gpus(families: list[str], wanted: list[str]) -> int:
    """GPUs of the largest machine in `families`, of the sizes `wanted` (none: all)."""
    return max(
        gpus(f"{family}.{size}") for family in families for size in sizes(family) if not wanted or size in wanted
    )


def _size(instance_type: str) -> dict[str, Any]:
    family, _, size = instance_type.partition(".")
    return _families().get(family, {}).get("sizes", {}).get(size, {})
