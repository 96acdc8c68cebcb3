"""A digits training as the driver of a run does it, over local files: `training_ours.py FOLDER SETTINGS`.

SETTINGS are TrainSettings as JSON. Writes each worker's rows and the validation rows to FOLDER for the peer, and prints
JSON: `first_step`, seconds from the call of fit to the end of the first optimizer step, by the first epoch's end and
length; `ends`, when each epoch's checkpoint was there, in seconds; `losses` and `validation_losses` by epoch.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.fs
import ray
import ray.data
import torch

from payloads.common.settings import Platform
from payloads.common.storage import Storage
from payloads.common.tracking import connect, find_or_create
from payloads.data import digits, pipeline, splits
from payloads.training import fit
from payloads.training.batches import COLUMNS, gather
from payloads.training.settings import TrainSettings

CPU = torch.device("cpu")


def main(folder: Path, settings: TrainSettings) -> None:
    (folder / "runs").mkdir()
    context = ray.init("local", num_cpus=settings.num_workers + 2, include_dashboard=False, log_to_driver=False)
    assert context is not None
    manifest = digits.Manifest(name="digits", fingerprint="", rows=0, classes=(), files={})
    fractions = splits.Fractions(settings.validation_fraction, settings.test_fraction)
    data = pipeline.prepare(ray.data.from_arrow(digits.build_table()), manifest, fractions, settings.split_seed)
    save_rows(folder, data, settings.num_workers)
    client = connect(Platform(storage="s3://unused", mlflow_uri=f"sqlite:///{folder}/mlflow.db"))
    run = find_or_create(client, "bench", "bench", "bench")
    started = time.time()
    fit.fit(settings, Storage(pyarrow.fs.LocalFileSystem(), str(folder)), data, run, "bench")  # type: ignore[arg-type]
    history = {
        name: sorted(client.get_metric_history(run.id, name), key=lambda point: point.step)
        for name in ("seconds", "loss", "validation_loss")
    }
    ends = [point.timestamp / 1000 for point in history["seconds"]]
    rows = len(torch.load(folder / "rank-0.pt")[1])
    steps = -(-rows // settings.rows_per_worker)
    epoch_s = history["seconds"][0].value
    result = {
        "first_step": ends[0] - epoch_s * (1 - 1 / steps) - started,
        "ends": ends,
        "losses": [point.value for point in history["loss"]],
        "validation_losses": [point.value for point in history["validation_loss"]],
    }
    print(json.dumps(result))


def save_rows(folder: Path, data: pipeline.Prepared, workers: int) -> None:
    """The rows as Ray Train hands them out: a share of train for each worker, all of validation."""
    train = data.train.select_columns(list(COLUMNS))
    train.context.execution_options.preserve_order = True
    shards = train.streaming_split(workers, equal=True)
    with ThreadPoolExecutor(workers) as pool:
        for rank, batch in enumerate(pool.map(lambda shard: gather(shard, CPU), shards)):
            torch.save(batch, folder / f"rank-{rank}.pt")
    torch.save(gather(data.validation.select_columns(list(COLUMNS)).iterator(), CPU), folder / "validation.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), TrainSettings.model_validate_json(sys.argv[2]))
