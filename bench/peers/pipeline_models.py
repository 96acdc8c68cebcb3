"""The pipeline's two models in a registry in a file, briefly trained: they take as long as good ones to answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from payloads.common.settings import Platform
from payloads.common.tracking import connect, find_or_create
from payloads.training.register import crown, log_model, register
from payloads.vision import fit, scenes
from payloads.vision.scenes import CLASSES
from payloads.vision.settings import VisionSettings
from payloads.vision.tasks import TASKS

SETTINGS = VisionSettings(run_name="bench", epochs=2, scenes=512)


class Memory:
    """Checkpoints that are not wanted again."""

    def read(self, _path: str) -> bytes | None:
        return None

    def write(self, path: str, content: bytes) -> None: ...


def register_models(folder: Path) -> None:
    """Train both and make them the champions of `sqlite:///folder/mlflow.db`."""
    client = connect(Platform(storage="s3://unused", mlflow_uri=f"sqlite:///{folder}/mlflow.db", patience_s=1))
    client.create_experiment("bench", artifact_location=(folder / "artifacts").as_uri())
    source = scenes.glyphs("train", SETTINGS.split_seed)
    for name, task in TASKS.items():
        run = find_or_create(client, "bench", name, name)
        model = fit.rebuilt(SETTINGS, name, fit.fit(Memory(), "bench", SETTINGS, source, name).weights)  # type: ignore[arg-type]
        uri = log_model(run, model, np.zeros((2, *task.shape), np.float32), CLASSES)
        crown(client, f"scenes-{name}", register(client, f"scenes-{name}", uri, run, {}).version)
