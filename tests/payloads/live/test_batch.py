"""Batch inference on real Ray, S3 and MLflow: every row once, whatever is killed on the way."""

from __future__ import annotations

import io
import os
import signal

import mlflow
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import Output, drive, drive_until, watching
from quick import Quick
from services import BUCKET, S3, Mlflow

from payloads.batch import predict, sample
from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.common.tracking import connect, find_or_create
from payloads.data.digits import build_table
from payloads.training import register

MODULE = "payloads.batch.predict"
MODEL = "batched"
ROWS = 24_000
# Two files of six row groups, one group to a unit: twelve units.
# Four rows a pass: a unit takes long enough for something to be killed between two.
SMALL = {"model_name": MODEL, "source": "rows", "unit_mib": 1, "num_workers": 2, "batch_rows": 4}
UNITS = 12


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


@pytest.fixture(scope="module")
def champion(quick: Quick, mlflow_server: Mlflow) -> str:
    """A version of the model, made the champion."""
    client = connect(read_platform())
    run = find_or_create(client, "batch-models", "batch-model", "model")
    uri = register.log_model(run, quick.model, quick.pixels[:2].astype(np.float32), quick.classes)
    version = str(register.register(client, MODEL, uri, run, {}).version)
    register.crown(client, MODEL, version)
    return version


@pytest.fixture(scope="module")
def storage(ray_cluster: str) -> Storage:
    storage = open_storage(read_platform().model_copy(update={"storage": f"s3://{BUCKET}/batch"}))
    for number in range(2):
        buffer = io.BytesIO()
        pq.write_table(sample.table(number * ROWS // 2, ROWS // 2), buffer, row_group_size=2000)
        storage.write(f"rows/part-{number}.parquet", buffer.getvalue())
    return storage


@pytest.fixture(autouse=True)
def own_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/batch")


@pytest.fixture(scope="module")
def first(storage: Storage, champion: str) -> Output:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/batch")
        return drive(predict.main, run_name="first", **SMALL)


def answers(storage: Storage, folder: str) -> pa.Table:
    found = storage.read_json(f"{folder}/manifest.json")
    assert found is not None
    return pa.concat_tables(
        pq.read_table(storage.path(file["path"]), filesystem=storage.filesystem) for file in found["files"]
    )


def written(s3: S3, prefix: str) -> dict[str, str]:
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"]: entry["LastModified"].isoformat() for entry in listed.get("Contents", [])}


def receipts(s3: S3, run: str) -> list[str]:
    """Units of a run that are done."""
    return [key for key in s3.keys(f"batch/predictions/{run}-") if "/receipts/" in key]


def once(storage: Storage, output: Output) -> pa.Table:
    """The answers, which must be one for each row."""
    assert output.status == 0, output.text
    table = answers(storage, output.result["folder"]).sort_by("id")
    assert table["id"].to_pylist() == list(range(ROWS))
    assert output.result["rows"] == ROWS
    return table


def test_every_row_is_answered_once_and_right(first: Output, storage: Storage, champion: str):
    table = once(storage, first)
    labels = np.array(build_table()["label"].to_pylist())
    wanted = labels[np.arange(ROWS) % len(labels)]
    usable = table["error"].is_null().to_numpy()
    assert (table["label"].to_numpy(zero_copy_only=False)[usable] == wanted[usable]).mean() > 0.95
    assert set(table["model_version"].to_pylist()) == {champion} == {first.result["version"]}
    assert sum(first.result["labels"].values()) == usable.sum()


def test_the_answers_are_those_of_the_model(first: Output, storage: Storage, quick: Quick):
    table = once(storage, first).slice(0, 500)
    pixels = np.stack(sample.table(0, ROWS // 2)["pixels"].slice(0, 500).to_numpy(zero_copy_only=False))
    probabilities = quick.probabilities(pixels)
    assert table["label"].to_pylist() == [quick.classes[place] for place in probabilities.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"].to_numpy(), probabilities.max(axis=1), atol=1e-4)


def test_a_spoilt_row_has_a_reason_in_place_of_an_answer(first: Output, storage: Storage):
    table = once(storage, first)
    spoilt = table.filter(pa.compute.is_valid(table["error"]))
    assert spoilt["id"].to_pylist() == list(range(sample.SPOILT_EVERY - 1, ROWS, sample.SPOILT_EVERY))
    assert first.result["errors"] == spoilt.num_rows
    assert spoilt["label"].null_count == spoilt["confidence"].null_count == spoilt.num_rows
    assert set(spoilt["error"].to_pylist()) == {"pixels are not 64 numbers between 0 and 16"}


def test_a_run_that_has_ended_reports_its_result_again(first: Output, s3: S3):
    before = written(s3, "batch/predictions/")
    again = drive(predict.main, run_name="first", **{**SMALL, "num_workers": 1})
    assert again.result == first.result
    assert written(s3, "batch/predictions/") == before


def test_a_driver_killed_midway_answers_no_row_twice_and_keeps_its_version(
    first: Output, storage: Storage, ray_cluster: str, s3: S3, client: mlflow.MlflowClient, champion: str
):
    killed = drive_until(
        MODULE, ray_cluster, when=lambda: bool(receipts(s3, "killed")), run_name="killed", **{**SMALL, "num_workers": 1}
    )
    assert killed.status == -signal.SIGKILL, killed.text
    before = written(s3, "batch/predictions/killed-")
    done = [key for key in before if "/receipts/" in key]
    assert 1 <= len(done) < UNITS, "the driver was killed between two units"

    source = client.get_model_version(MODEL, champion)
    newer = client.create_model_version(
        MODEL, source.source, run_id=source.run_id, model_id=source.source.split("/")[-1]
    )
    client.set_registered_model_alias(MODEL, "champion", newer.version)
    try:
        resumed = drive(predict.main, run_name="killed", **SMALL)
    finally:
        client.set_registered_model_alias(MODEL, "champion", champion)
    table = once(storage, resumed)
    assert resumed.result["version"] == champion, "half by one model and half by another is neither's prediction"
    assert any(f"of {UNITS} units were done before" in line for line in resumed.lines)
    after = written(s3, "batch/predictions/killed-")
    assert {key: after[key] for key in done} == {key: before[key] for key in done}
    assert table.equals(once(storage, first))


def test_an_actor_killed_midway_costs_no_row(first: Output, storage: Storage, s3: S3, champion: str):
    def strike() -> None:
        for process in predictors():
            os.kill(process, signal.SIGKILL)
        at_strike.extend(receipts(s3, "struck"))

    at_strike: list[str] = []
    with watching(lambda: bool(receipts(s3, "struck")), strike):
        output = drive(predict.main, run_name="struck", **{**SMALL, "num_workers": 1})
    assert 1 <= len(at_strike) < UNITS, "the actor was killed between two units"
    assert once(storage, output).equals(once(storage, first))


def predictors() -> list[int]:
    """Process ids of Ray Data's actors under this test's own Ray."""
    return [
        child.pid
        for child in psutil.Process().children(recursive=True)
        if any("MapWorker" in part for part in child.cmdline())
    ]


def test_a_model_that_is_not_there_is_named(storage: Storage, mlflow_server: Mlflow):
    refused = drive(predict.main, run_name="nobody", **{**SMALL, "model_name": "nobody"})
    assert refused.status == 1
    assert "has no model nobody with alias champion" in refused.text
    assert "Traceback" not in refused.text
