"""From Parquet on S3 to normalised, encoded, split Ray Data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.data import splits
from payloads.data.digits import PIXELS, Manifest
from payloads.data.scaler import Moments, Scaler

if TYPE_CHECKING:
    import ray.data

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Prepared:
    """The three splits. A row: id int64, pixels float32[n] (raw), features float32[n] (standardised), target int64."""

    train: ray.data.Dataset
    validation: ray.data.Dataset
    test: ray.data.Dataset
    scaler: Scaler
    classes: tuple[str, ...]


def read(storage: Storage, manifest: Manifest) -> ray.data.Dataset:
    """The files that the manifest names, and no other that lies beside them."""
    import ray.data

    return ray.data.read_parquet([storage.path(path) for path in manifest.files], filesystem=storage.filesystem)


def prepare(dataset: ray.data.Dataset, manifest: Manifest, fractions: splits.Fractions, seed: int) -> Prepared:
    """Encode labels, split by `seed`, fit the scaler on train and apply it to all three.

    Ids and labels of all rows pass through the driver (about 16 bytes a row) to find the cut points; features never
    do. Raises PayloadError if a class is too small to split.
    """
    keys = dataset.select_columns(["id", "label"]).to_pandas()
    labels = keys["label"].to_numpy(dtype=str)
    try:
        cuts = splits.cut_points(keys["id"].to_numpy(), labels, fractions, seed)
    except ValueError as error:
        raise PayloadError(f"data set {manifest.name} cannot be split: {error}") from None
    return divide(dataset, cuts)


def divide(dataset: ray.data.Dataset, cuts: splits.Cuts, scaler: Scaler | None = None) -> Prepared:
    """The three splits by `cuts`, standardised by `scaler` or else by one that is fitted on train."""
    # Materialised once: three splits and the scaler read it, and without this each would go back to S3.
    encoded = dataset.map_batches(_encode, fn_kwargs={"cuts": cuts}).materialize()
    raw = {name: _only(encoded, name) for name in (splits.TRAIN, splits.VALIDATION, splits.TEST)}
    scaler = scaler or fit_scaler(raw[splits.TRAIN])
    ready = {name: part.map_batches(_scale, fn_kwargs={"scaler": scaler}).materialize() for name, part in raw.items()}
    return Prepared(**ready, scaler=scaler, classes=cuts.classes)


def fit_scaler(dataset: ray.data.Dataset) -> Scaler:
    """Scaler of the data set's pixels: one pass, one row of moments a block."""
    rows = dataset.map_batches(_moments, batch_size=None).take_all()
    return Scaler.fit(
        Moments(int(row["count"]), np.asarray(row["mean"]), np.asarray(row["squares"])) for row in rows if row["count"]
    )


def _encode(batch: Batch, cuts: splits.Cuts) -> Batch:
    target = np.searchsorted(np.asarray(cuts.classes), batch["label"].astype(str)).astype(np.int64)
    return {
        "id": batch["id"],
        "pixels": matrix(batch["pixels"]),
        "target": target,
        "split": splits.assign(batch["id"], target, cuts),
    }


def matrix(pixels: np.ndarray) -> np.ndarray:
    """A batch's pixels as float32 of shape (rows, 64), also where no row is left."""
    return np.stack(pixels).astype(np.float32) if len(pixels) else np.zeros((0, PIXELS), np.float32)


def _only(dataset: ray.data.Dataset, name: str) -> ray.data.Dataset:
    return dataset.map_batches(_select, fn_kwargs={"name": name})


def _select(batch: Batch, name: str) -> Batch:
    chosen = batch["split"] == name
    return {column: values[chosen] for column, values in batch.items() if column != "split"}


def _scale(batch: Batch, scaler: Scaler) -> Batch:
    return {**batch, "features": scaler.transform(batch["pixels"])}


def _moments(batch: Batch) -> dict[str, Any]:
    if not len(batch["pixels"]):
        return {"count": np.zeros(1, np.int64), "mean": np.zeros((1, 0)), "squares": np.zeros((1, 0))}
    moments = Moments.of(batch["pixels"])
    return {
        "count": np.asarray([moments.count]),
        "mean": moments.mean[None],
        "squares": moments.squares[None],
    }
