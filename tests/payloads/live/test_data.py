"""The digits data set: what is in it, how it is written, how Ray Data prepares it."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from services import S3
from sklearn.preprocessing import StandardScaler

from payloads.common.errors import PayloadError
from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.data import digits, pipeline
from payloads.data.splits import Fractions

FRACTIONS = Fractions(validation=0.15, test=0.15)


@pytest.fixture
def storage(s3: S3, request: pytest.FixtureRequest) -> Storage:
    """A prefix of its own for each test; nothing here asks MLflow, which need not run for it."""
    platform = read_platform({**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"})
    return open_storage(platform.model_copy(update={"storage": f"s3://manta/{request.node.name.replace('[', '-')}"}))


@pytest.fixture(scope="module")
def prepared(ray_cluster: str) -> pipeline.Prepared:
    storage = open_storage(read_platform().model_copy(update={"storage": "s3://manta/prepared"}))
    manifest = digits.ensure(storage)
    return pipeline.prepare(pipeline.read(storage, manifest), manifest, FRACTIONS, seed=42)


def column(dataset: object, name: str) -> np.ndarray:
    return np.concatenate([np.stack(batch[name]) for batch in dataset.iter_batches(batch_format="numpy")])  # type: ignore[attr-defined]


def test_the_source_is_what_it_was():
    """Models are compared on the held-out rows of this fingerprint: if it changes, they are not comparable."""
    table = digits.build_table()
    assert table.num_rows == 1797
    assert digits.fingerprint(table).startswith("7ad275470497b9f8")
    counts = np.unique(table["label"].to_numpy(zero_copy_only=False).astype(str), return_counts=True)[1]
    assert counts.min() > 170


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 17.0])
def test_a_pixel_that_no_scan_gives_is_refused(value: float):
    table = digits.build_table()
    pixels = digits.pixel_matrix(table).copy()
    pixels[7, 7] = value
    broken = table.set_column(1, "pixels", pa.FixedSizeListArray.from_arrays(pa.array(pixels.ravel()), 64))
    with pytest.raises(PayloadError, match="not a number between 0 and 16"):
        digits.check_table(broken)


def test_two_rows_of_one_id_are_refused():
    table = digits.build_table()
    ids = table["id"].to_numpy().copy()
    ids[1] = ids[0]
    with pytest.raises(PayloadError, match="two rows have one id"):
        digits.check_table(table.set_column(0, "id", pa.array(ids)))


def test_what_was_written_is_the_table(storage: Storage):
    manifest = digits.ensure(storage)
    parts = [pq.read_table(storage.path(path), filesystem=storage.filesystem) for path in manifest.files]
    assert digits.fingerprint(pa.concat_tables(parts)) == manifest.fingerprint
    assert manifest.classes == tuple(str(digit) for digit in range(10))


def test_a_second_time_nothing_is_written(storage: Storage, s3: S3):
    manifest = digits.ensure(storage)
    before = written(s3, storage)
    assert digits.ensure(storage) == manifest
    assert written(s3, storage) == before


def test_a_writer_that_was_killed_leaves_nothing_that_a_reader_takes_for_the_data(storage: Storage, s3: S3):
    manifest = digits.ensure(storage)
    first, *rest = manifest.files
    folder = first.rsplit("/", 1)[0]
    storage.filesystem.delete_file(storage.path(f"{folder}/manifest.json"))
    storage.filesystem.delete_file(storage.path(rest[-1]))
    assert storage.read_json(f"{folder}/manifest.json") is None, "half a data set has no manifest"
    assert digits.ensure(storage) == manifest


def test_a_file_that_is_cut_short_is_written_again(storage: Storage):
    manifest = digits.ensure(storage)
    damaged = next(iter(manifest.files))
    storage.write(damaged, b"PAR1")
    assert digits.ensure(storage) == manifest
    assert len(storage.read(damaged) or b"") == manifest.files[damaged]


def test_splits_share_no_row_and_lose_none(prepared: pipeline.Prepared):
    ids = [column(part, "id") for part in (prepared.train, prepared.validation, prepared.test)]
    together = np.concatenate(ids)
    assert len(together) == 1797
    assert len(set(together.tolist())) == 1797
    assert [len(part) for part in ids[1:]] == pytest.approx([270, 270], abs=5)


def test_every_class_has_its_share_of_every_split(prepared: pipeline.Prepared):
    for part, share in ((prepared.train, 0.7), (prepared.validation, 0.15), (prepared.test, 0.15)):
        counts = np.bincount(column(part, "target"), minlength=10)
        np.testing.assert_allclose(counts, 179.7 * share, atol=4)


def test_labels_are_encoded_as_positions_in_the_classes(prepared: pipeline.Prepared):
    labels = np.array(digits.build_table()["label"].to_pylist())
    encoded = np.array(prepared.classes)[column(prepared.test, "target")]
    assert (encoded == labels[column(prepared.test, "id")]).all()


def test_the_scaler_knows_the_train_split_only(prepared: pipeline.Prepared):
    pixels = digits.pixel_matrix(digits.build_table())
    reference = StandardScaler().fit(pixels[column(prepared.train, "id")])
    np.testing.assert_allclose(prepared.scaler.mean, reference.mean_, rtol=1e-5, atol=1e-6)
    everything = StandardScaler().fit(pixels)
    assert not np.allclose(prepared.scaler.mean, everything.mean_, rtol=1e-5, atol=1e-6)
    features = column(prepared.test, "features")
    expected = prepared.scaler.transform(pixels[column(prepared.test, "id")])
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_the_same_seed_gives_the_same_splits_and_another_gives_others(prepared: pipeline.Prepared):
    storage = open_storage(read_platform().model_copy(update={"storage": "s3://manta/prepared"}))
    manifest = digits.ensure(storage)

    def held_out(seed: int) -> set[int]:
        again = pipeline.prepare(pipeline.read(storage, manifest), manifest, FRACTIONS, seed)
        return set(column(again.test, "id").tolist())

    assert held_out(42) == set(column(prepared.test, "id").tolist())
    assert held_out(43) != held_out(42)


def test_rows_of_rare_classes_are_refused_with_their_name(ray_cluster: str, storage: Storage):
    import ray.data

    manifest = digits.ensure(storage)
    rare = ray.data.from_items([{"id": index, "label": "9", "pixels": [0.0] * 64} for index in range(3)])
    with pytest.raises(PayloadError, match="class 9 has 3 rows"):
        pipeline.prepare(rare, manifest, FRACTIONS, seed=1)


def written(s3: S3, storage: Storage) -> dict[str, str]:
    """Time of writing of every object under the storage's prefix."""
    bucket, prefix = storage.root.split("/", 1)
    listed = s3.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["LastModified"].isoformat() for entry in listed["Contents"]}
