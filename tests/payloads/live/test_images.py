"""Images on real Ray, S3 and MLflow: files to Parquet, and a network trained on them."""

from __future__ import annotations

import signal

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from drivers import Output, drive, drive_until
from services import BUCKET, S3, Mlflow

from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.images import prepare, sample, train

IMAGES = 400
UNITS = 4
DATA = {"sample": "digits", "sample_images": IMAGES, "unit_images": 128}
# Few epochs of little augmentation: what is tested is that the images come through.
SMALL = {"width": 8, "epochs": 8, "lr": 0.01, "batch_size": 16, "rotate": 5, "shift": 0.04, "gate_accuracy": 0.85}


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


def test_a_run_killed_between_the_passes_goes_on_and_ends_with_the_same_bytes(
    prepared: Output, storage: Storage, ray_cluster: str, monkeypatch: pytest.MonkeyPatch, s3: S3
):
    """In another place, so under other paths; the source is read from the same bytes."""
    monkeypatch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/cut")
    module = "payloads.images.prepare"
    killed = drive_until(module, ray_cluster, lambda line: "write: 1 of" in line, run_name="cut", num_workers=1, **DATA)
    assert killed.status == -signal.SIGKILL, killed.text
    assert not s3.keys("cut/images/digit-scans/latest.json"), "half of it is not announced"
    before = stamps(s3, "cut/images/")
    assert len([key for key in before if "/_work/decode/" in key]) == UNITS

    resumed = drive(prepare.main, run_name="cut", **DATA)
    assert resumed.status == 0, resumed.text
    assert f"progress: decode: {UNITS} of {UNITS} units were done before" in resumed.lines
    after = stamps(s3, "cut/images/")
    kept = [key for key in before if "/_work/decoded/" not in key]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}, (
        "what was finished is not done again"
    )
    assert digests(place("cut"), resumed.result["folder"]) == digests(storage, prepared.result["folder"])
    assert resumed.result["reasons"] == prepared.result["reasons"]


def stamps(s3: S3, prefix: str) -> dict[str, str]:
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"]: entry["LastModified"].isoformat() for entry in listed.get("Contents", [])}


def digests(storage: Storage, folder: str) -> dict[str, str]:
    found = storage.read_json(f"{folder}/manifest.json")
    assert found is not None
    return {file["path"].split("/", 3)[3]: file["sha256"] for files in found["files"].values() for file in files}


def test_too_many_broken_images_stop_the_run_with_the_most_frequent_reason(storage: Storage):
    for number in range(3):
        storage.write(f"rotten/label=a/{number}.png", b"")
    refused = drive(prepare.main, run_name="rotten", dataset="rotten", source="rotten")
    assert refused.status == 1
    (line,) = [line for line in refused.lines if line.startswith("error: ")]
    assert "3 of 3 images cannot be used, more than --max-quarantined 0.05" in line
    assert "'the file is empty' (3 images)" in line


@pytest.fixture(scope="module")
def trained(prepared: Output) -> Output:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/images")
        return drive(train.main, run_name="first", **SMALL)


def test_a_training_ends_with_a_registered_model_of_images(trained: Output, prepared: Output, mlflow_server: Mlflow):
    assert trained.status == 0, trained.text
    assert trained.epochs == list(range(1, SMALL["epochs"] + 1))
    assert trained.result["registered"] is True, trained.result["reason"]
    client = mlflow.MlflowClient(mlflow_server.url)
    run = client.get_run(trained.result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["manta.dataset"] == prepared.result["fingerprint"]
    assert run.data.metrics["test_rows"] == prepared.result["images"]["test"]
    info = mlflow.models.get_model_info(f"models:/digit-scans/{trained.result['version']}")
    assert info.signature is not None
    assert info.signature.inputs.inputs[0].shape == (-1, 1, 16, 16), "any number of rows"


def test_the_registered_model_reads_held_out_images_as_they_are(
    trained: Output, prepared: Output, storage: Storage, mlflow_server: Mlflow
):
    """Raw pixels in: what the network does to them first travels with it."""
    mlflow.set_tracking_uri(mlflow_server.url)
    model = mlflow.pytorch.load_model("models:/digit-scans@champion")
    held_out = output(storage, prepared.result["folder"], "test")
    pixels = np.frombuffer(b"".join(held_out["pixels"].to_pylist()), np.uint8).reshape(-1, 1, 16, 16)
    with torch.inference_mode():
        answers = model(torch.tensor(pixels).float()).argmax(dim=1).numpy()
    accuracy = (answers == held_out["target"].to_numpy()).mean()
    assert accuracy == pytest.approx(trained.result["accuracy"])
    assert accuracy >= 0.85


@pytest.fixture(scope="module")
def photos(ray_cluster: str) -> Output:
    """Tiles of two photographs, in colour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/images")
        flags = {"dataset": "photos", "sample": "photos", "sample_images": 60, "max_quarantined": 0.1}
        return drive(prepare.main, run_name="photos", mode="RGB", size=32, **flags)


def test_colour_images_keep_their_colours(photos: Output, storage: Storage):
    assert photos.status == 0, photos.text
    found = storage.read_json(f"{photos.result['folder']}/manifest.json")
    assert found is not None
    assert (found["shape"], found["classes"]) == ([3, 32, 32], ["china", "flower"])
    part = output(storage, photos.result["folder"], "train")
    pixels = np.frombuffer(b"".join(part["pixels"].to_pylist()), np.uint8).reshape(-1, 3, 32, 32) / 255
    np.testing.assert_allclose(found["mean"], pixels.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(found["deviation"], pixels.std(axis=(0, 2, 3)), rtol=1e-9)
    assert np.ptp(found["mean"]) > 0.02, "red, green and blue are not one channel three times"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"dataset": "nothing"}, "run payloads.images.prepare --dataset nothing first"),
        ({"dataset": "photos"}, "takes rows of 1x16x16 and these images are 3x32x32: give this model another"),
        ({"normalise": "imagenet"}, "--normalise imagenet is for images of 3 channels and these have 1"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    trained: Output, photos: Output, flags: dict[str, str], words: str
):
    refused = drive(train.main, run_name="refused", **{**SMALL, **flags})
    assert refused.status == 1
    (line,) = [line for line in refused.lines if line.startswith("error: ")]
    assert words in line
