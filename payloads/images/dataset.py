"""A folder of prepared images: its manifest, and its splits as Ray Data sets."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

    from payloads.images.pipeline import Outcome
    from payloads.images.stages import Job


@dataclass(frozen=True)
class Manifest:
    """What the folder holds; written last, so a reader that finds it finds everything it names.

    `shape` is (channels, height, width) of an image; `mean` and `deviation` are those of each channel over the train
    images, in 0..1; `files` maps a split to its files: path, rows, bytes, sha256 each.
    """

    source: dict[str, Any]
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    group_rows: int
    reasons: dict[str, int]
    files: dict[str, list[dict[str, Any]]]

    @property
    def fingerprint(self) -> str:
        """sha256 of all of it, the digests of the files included."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def rows(self, name: str) -> int:
        return sum(file["rows"] for file in self.files[name])

    def as_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(asdict(self)))


def manifest(job: Job, origin: str, files: int, outcome: Outcome) -> Manifest:
    from payloads.images.stages import GROUP_ROWS

    return Manifest(
        source={"fingerprint": origin, "files": files},
        shape=job.form.shape,
        classes=outcome.classes,
        mean=tuple(outcome.mean),
        deviation=tuple(outcome.deviation),
        group_rows=GROUP_ROWS,
        reasons=outcome.reasons,
        files=outcome.files,
    )


def latest(name: str) -> str:
    """The note of where the newest folder of a data set is."""
    return f"images/{name}/latest.json"


def newest(storage: Storage, name: str) -> Manifest:
    """The manifest that `latest` leads to. Raises PayloadError if nothing is prepared."""
    note = storage.read_json(latest(name))
    found = read_manifest(storage, note["folder"]) if note else None
    if found is None:
        raise PayloadError(
            f"no images {name} are prepared in {storage.root}: run payloads.images.prepare --dataset {name} first"
        )
    return found


def read_manifest(storage: Storage, folder: str) -> Manifest | None:
    found = storage.read_json(f"{folder}/manifest.json")
    if found is None:
        return None
    lists = {name: tuple(found[name]) for name in ("shape", "classes", "mean", "deviation")}
    return Manifest(**{**found, **lists})


def write_manifest(storage: Storage, folder: str, found: Manifest) -> None:
    storage.write_json(f"{folder}/manifest.json", found.as_json())


def forget_decoded(storage: Storage, folder: str) -> None:
    """Delete what only lay between the two passes."""
    with contextlib.suppress(FileNotFoundError):
        storage.filesystem.delete_dir(storage.path(folder, "_work", "decoded"))


def read(storage: Storage, found: Manifest, name: str, column: str) -> ray.data.Dataset:
    """One split as a Ray Data set: `column` uint8 (channels, height, width) a row, target int64."""
    import ray.data

    paths = [storage.path(file["path"]) for file in found.files[name]]
    rows = ray.data.read_parquet(paths, filesystem=storage.filesystem).select_columns(["pixels", "target"])
    return rows.map_batches(_arrays, batch_format="pyarrow", fn_kwargs={"shape": found.shape, "column": column})


def _arrays(table: pa.Table, shape: tuple[int, ...], column: str) -> dict[str, np.ndarray]:
    from payloads.images.stages import pixels_of

    return {column: pixels_of(table, shape), "target": table["target"].to_numpy()}
