"""What a training run tells Prometheus, through Ray's own exporter on the driver's node: as `ray_manta_training_*`."""

from __future__ import annotations

import os
import time
from typing import Any

from ray.util.metrics import Counter, Gauge

_TAGS = ("run",)
_ABOUT = {
    "epoch": "Epochs that are done.",
    "loss": "Training loss of the last epoch.",
    "report_timestamp_seconds": "When the last epoch ended.",
    "checkpoint_timestamp_seconds": "When the last checkpoint was kept.",
}


class TrainingMetrics:
    """Progress of one run (MANTA_RUN); its series end with the driver, so that a finished run alarms nobody."""

    def __init__(self) -> None:
        self.tags = {"run": os.environ.get("MANTA_RUN", "")}
        self.gauges = {name: Gauge(f"manta_training_{name}", about, _TAGS) for name, about in _ABOUT.items()}
        self.values: dict[str, float] = {}
        self.failures = Counter("manta_training_worker_failures", "Workers that ended with an error.", _TAGS)

    def observe(self, event: dict[str, Any]) -> None:
        """An event of payloads.training.watch."""
        if event["kind"] != "epoch":
            self.failures.inc(1, self.tags)
            return
        now = time.time()
        self.values |= {name: float(event["metrics"][name]) for name in ("epoch", "loss") if name in event["metrics"]}
        self.values["report_timestamp_seconds"] = now
        if event["checkpoint"]:
            self.values["checkpoint_timestamp_seconds"] = now
        self.repeat()

    def repeat(self) -> None:
        """Set every gauge again: Ray stops exporting one that was not set for two of its report intervals (20 s), and
        a stalled run would vanish from Prometheus instead of raising its alert."""
        for name, value in self.values.items():
            self.gauges[name].set(value, self.tags)
