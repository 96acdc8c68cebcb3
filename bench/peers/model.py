"""Make the benchmark's model: 34 MB, trained for two epochs, in a registry of its own.

Usage: python -m bench.peers.model FOLDER. Prints the path of the exported file, which the peers load.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from payloads.common.settings import Platform
from payloads.common.tracking import connect, find_or_create
from payloads.data import digits
from payloads.data.scaler import Moments, Scaler
from payloads.training.model import Classifier, Mlp
from payloads.training.register import crown, log_model, register
from payloads.training.steps import train_epoch

NAME = "bench"
HIDDEN = 2048


def make(folder: Path) -> Path:
    """Train, export and register under `folder`; returns the exported file."""
    table = digits.build_table()
    pixels = digits.pixel_matrix(table)
    classes = tuple(sorted(set(table["label"].to_pylist())))
    targets = torch.from_numpy(np.searchsorted(np.array(classes), np.array(table["label"].to_pylist())))
    scaler = Scaler.fit([Moments.of(pixels)])
    torch.manual_seed(0)
    network = Mlp(digits.PIXELS, len(classes), HIDDEN, depth=3, dropout=0.3)
    features = torch.from_numpy(scaler.transform(pixels))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(2):
        batches = [(features[rows], targets[rows]) for rows in torch.randperm(len(targets)).split(128)]
        train_epoch(network, optimizer, batches, gradient_clip=1.0)
    client = connect(Platform(storage="s3://unused", mlflow_uri=f"sqlite:///{folder}/mlflow.db"))
    client.create_experiment(NAME, artifact_location=(folder / "artifacts").as_uri())
    run = find_or_create(client, NAME, NAME, NAME)
    uri = log_model(run, Classifier(network, scaler).eval(), pixels[:2], classes)
    crown(client, NAME, register(client, NAME, uri, run, {}).version)
    (exported,) = (folder / "artifacts").rglob("*.pt2")
    return exported


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
