"""Kubernetes quantities (`500m`, `2Gi`) as numbers, for checks that the API server makes only later."""

from __future__ import annotations

import re

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTOR = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def parse_quantity(text: str) -> float:
    """CPUs or bytes; raises ValueError for anything but a positive number with a Kubernetes suffix."""
    match = _QUANTITY.fullmatch(text)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is no quantity: write a positive number with a suffix or none, as 500m or 2Gi")
    return float(match[1]) * _FACTOR[match[2] or ""]
