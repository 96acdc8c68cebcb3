"""Images on real Ray, S3 and MLflow: files to Parquet, and a network trained on them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import Output, drive
from services import BUCKET, S3

from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.images import prepare, sample

IMAGES = 600
DATA = {"sample": "digits", "sample_images": IMAGES, "unit_images": 128}


@pytest.fixture(scope="module")
def storage(ray_cluster: str) -> Storage:
    return place("images")


@pytest.fixture(autouse=True)
def own_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/images")


def place(root: str) -> Storage:
    return open_storage(read_platform().model_copy(update={"storage": f"s3://{BUCKET}/{root}"}))


@pytest.fixture(scope="module")
def prepared(storage: Storage) -> Output:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/images")
        return drive(prepare.main, run_name="data", **DATA)


def output(storage: Storage, folder: str, name: str) -> pa.Table:
    return pq.read_table(storage.path(folder, name), filesystem=storage.filesystem)


def test_every_file_is_in_a_split_or_in_quarantine_with_its_reason(prepared: Output, storage: Storage):
    assert prepared.status == 0, prepared.text
    images = prepared.result["images"]
    broken = sample.broken(next(sample.digits())[1])
    assert images.pop("quarantine") == len(broken)
    assert sum(images.values()) == IMAGES
    bad = output(storage, prepared.result["folder"], "quarantine").to_pylist()
    for row in bad:
        name = row["path"].rsplit("/", 1)[-1]
        assert broken[name][1] in row["reason"], name
    assert sum(prepared.result["reasons"].values()) == len(bad)


def test_no_image_is_in_two_splits_and_each_class_has_its_share(prepared: Output, storage: Storage):
    parts = {name: output(storage, prepared.result["folder"], name) for name in ("train", "validation", "test")}
    pixels = [content for part in parts.values() for content in part["pixels"].to_pylist()]
    paths = [path for part in parts.values() for path in part["path"].to_pylist()]
    assert len(set(pixels)) == len(pixels) == len(set(paths)) == IMAGES
    for target in range(10):
        counts = {name: part["target"].to_pylist().count(target) for name, part in parts.items()}
        of_class = sum(counts.values())
        assert counts["test"] == pytest.approx(0.15 * of_class, abs=1)
        assert counts["validation"] == pytest.approx(0.15 * of_class, abs=1)
    for part in parts.values():
        for path, target in zip(part["path"].to_pylist(), part["target"].to_pylist(), strict=True):
            assert f"/label={target}/" in path


def test_what_lay_between_the_passes_is_gone(prepared: Output, s3: S3):
    assert prepared.status == 0
    assert not [key for key in s3.keys("images/images/") if "/_work/decoded/" in key]
