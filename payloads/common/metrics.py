"""What a training run tells Prometheus, through Ray's own exporter on the driver's node: as `ray_manta_training_*`."""

from __future__ import annotations

import os
import time
from typing import Any

from ray.util.metrics import Counter, Gauge

_TAGS = ("run",)


class TrainingMetrics:
    """Progress of one run (MANTA_RUN); its series end with the driver, so that a finished run alarms nobody."""

    def __init__(self) -> None:
        self.tags = {"run": os.environ.get("MANTA_RUN", "")}
        self.epoch = Gauge("manta_training_epoch", "Epochs that are done.", _TAGS)
        self.loss = Gauge("manta_training_loss", "Training loss of the last epoch.", _TAGS)
        self.reported = Gauge("manta_training_report_timestamp_seconds", "When the last epoch ended.", _TAGS)
        self.saved = Gauge("manta_training_checkpoint_timestamp_seconds", "When the last checkpoint was kept.", _TAGS)
        self.failures = Counter("manta_training_worker_failures", "Workers that ended with an error.", _TAGS)

    def observe(self, event: dict[str, Any]) -> None:
        """An event of payloads.training.watch."""
        if event["kind"] != "epoch":
            self.failures.inc(1, self.tags)
            return
        now = time.time()
        for gauge, name in ((self.epoch, "epoch"), (self.loss, "loss")):
            if name in event["metrics"]:
                gauge.set(float(event["metrics"][name]), self.tags)
        self.reported.set(now, self.tags)
        if event["checkpoint"]:
            self.saved.set(now, self.tags)
