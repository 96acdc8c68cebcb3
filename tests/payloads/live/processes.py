"""Processes of this test's own Ray."""

from __future__ import annotations

import psutil


def training_workers() -> list[int]:
    """Process ids of Ray Train workers under this test's own Ray."""
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any("RayTrainWorker" in part for part in child.cmdline())
    ]
