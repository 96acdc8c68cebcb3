"""A classifier trained in seconds without Ray, from the payload's own parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from payloads.data import digits, splits
from payloads.data.scaler import Moments, Scaler
from payloads.training.model import Classifier, Mlp


@dataclass(frozen=True)
class Quick:
    """A model and the rows that it has never seen."""

    model: Classifier
    pixels: np.ndarray
    targets: np.ndarray
    classes: tuple[str, ...]

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        return torch.softmax(self.model(torch.from_numpy(pixels.astype(np.float32))), dim=1).numpy()

    def labels(self, pixels: np.ndarray) -> np.ndarray:
        return self.probabilities(pixels).argmax(axis=1)


def train_quickly(epochs: int = 12) -> Quick:
    """The digits payload's split, scaler, network, optimizer and loss, in one process."""
    from payloads.training.steps import train_epoch

    table = digits.build_table()
    pixels, ids = digits.pixel_matrix(table), table["id"].to_numpy()
    labels = np.array(table["label"].to_pylist())
    cuts = splits.cut_points(ids, labels, splits.Fractions(0.15, 0.15), seed=42)
    targets = np.searchsorted(np.array(cuts.classes), labels).astype(np.int64)
    part = splits.assign(ids, targets, cuts)
    train = part == splits.TRAIN
    scaler = Scaler.fit([Moments.of(pixels[train])])
    torch.manual_seed(0)
    network = Mlp(digits.PIXELS, len(cuts.classes), hidden=128, depth=2, dropout=0.2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    features, wanted = torch.from_numpy(scaler.transform(pixels[train])), torch.from_numpy(targets[train])
    for epoch in range(epochs):
        order = torch.randperm(len(wanted), generator=torch.Generator().manual_seed(epoch))
        train_epoch(network, optimizer, [(features[chosen], wanted[chosen]) for chosen in order.split(64)], 1.0)
    test = part == splits.TEST
    return Quick(Classifier(network, scaler).eval(), pixels[test], targets[test], cuts.classes)
