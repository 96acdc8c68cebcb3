"""The feature pipeline on real Ray, S3 and MLflow: what comes out, what is set apart, what a restart does."""

from __future__ import annotations

import io
import re
import signal

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import Output, drive, drive_until
from services import BUCKET, S3, Mlflow
from sklearn.linear_model import LogisticRegression

from payloads.common.settings import read_platform
from payloads.common.storage import Storage, open_storage
from payloads.features import contract, frame, prepare, sample
from payloads.features.transform import Transform

ROWS = 20_000
# Two files of ten row groups, four groups to a unit: six units.
SMALL = {"source": "source", "unit_mib": 1}
UNITS = 6


@pytest.fixture(scope="module")
def storage(ray_cluster: str) -> Storage:
    return place("features")


@pytest.fixture(autouse=True)
def own_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/features")


@pytest.fixture(scope="module")
def first(storage: Storage) -> Output:
    write_source(storage, "source")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/features")
        return drive(prepare.main, run_name="first", **SMALL)


def place(root: str) -> Storage:
    return open_storage(read_platform().model_copy(update={"storage": f"s3://{BUCKET}/{root}"}))


def write_source(storage: Storage, folder: str, rows: int = ROWS) -> None:
    for number in range(2):
        half = rows // 2
        buffer = io.BytesIO()
        pq.write_table(sample.table(number * half, half), buffer, row_group_size=1000)
        storage.write(f"{folder}/part-{number}.parquet", buffer.getvalue())


def output(storage: Storage, folder: str, name: str) -> pa.Table:
    return pq.read_table(storage.path(folder, name), filesystem=storage.filesystem)


def digests(storage: Storage, folder: str) -> dict[str, str]:
    found = storage.read_json(f"{folder}/manifest.json")
    assert found is not None
    return {file["path"].split("/", 3)[3]: file["sha256"] for files in found["files"].values() for file in files}


def test_every_row_is_in_a_split_or_filtered_or_in_quarantine(first: Output):
    assert first.status == 0, first.text
    rows = first.result["rows"]
    assert rows["quarantine"] == ROWS // sample.FAULT_EVERY
    assert first.result["reasons"] == {reason: 40 for _, reason in sample.FAULTS}
    assert first.result["filtered"] == ROWS // sample.TEST_USER_EVERY, "no test user is also spoilt"
    assert sum(rows.values()) + first.result["filtered"] == ROWS
    kept = ROWS - rows["quarantine"] - first.result["filtered"]
    assert rows["test"] == pytest.approx(kept / 10, abs=15)
    assert rows["validation"] == pytest.approx(kept / 10, abs=15)


def test_splits_share_no_row_and_have_every_class_in_its_share(first: Output, storage: Storage):
    parts = {name: output(storage, first.result["folder"], name) for name in ("train", "validation", "test")}
    ids = np.concatenate([table["id"].to_numpy() for table in parts.values()])
    assert len(set(ids.tolist())) == len(ids) == sum(first.result["rows"].values()) - first.result["rows"]["quarantine"]
    everywhere = np.bincount(np.concatenate([table["target"].to_numpy() for table in parts.values()]), minlength=3)
    for name, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        counts = np.bincount(parts[name]["target"].to_numpy(), minlength=3)
        np.testing.assert_allclose(counts, everywhere * share, atol=8)


def test_a_row_in_quarantine_says_why_and_where_it_comes_from(first: Output, storage: Storage):
    bad = output(storage, first.result["folder"], "quarantine").to_pylist()
    assert {row["reason"] for row in bad} == {reason for _, reason in sample.FAULTS}
    for row in bad[::37]:
        source = pq.read_table(storage.path(row["source_file"]), filesystem=storage.filesystem)
        assert source["row_id"][row["source_row"]].as_py() == row["row_id"]


def test_statistics_are_those_of_the_train_split_alone(first: Output, storage: Storage):
    raw = sample.table(0, ROWS)
    train = set(output(storage, first.result["folder"], "train")["id"].to_pylist())
    mask = np.array([row in train for row in raw["row_id"].to_pylist()])
    ages = raw["age"].to_numpy().astype(float)
    fitted = Transform.from_json(storage.read(f"{first.result['folder']}/transform.json") or b"")
    place = fitted.names.index("age")
    assert fitted.mean[place] == pytest.approx(ages[mask].mean(), rel=1e-12)
    assert fitted.scale[place] == pytest.approx(ages[mask].std(), rel=1e-12)
    good = ages[ages < 1000]
    assert fitted.mean[place] != pytest.approx(good.mean(), rel=1e-9), "of all rows it would be another"


def test_the_kept_artifact_gives_a_request_what_training_read(first: Output, storage: Storage):
    fitted = Transform.from_json(storage.read(f"{first.result['folder']}/transform.json") or b"")
    test = output(storage, first.result["folder"], "test").slice(0, 20)
    raw = sample.table(0, ROWS).take(test["id"])
    declared = frame.conform(raw, contract.load("interactions")).to_pylist()
    written = np.stack(test["features"].to_numpy(zero_copy_only=False))
    assert (fitted.apply_rows(declared) == written).all()


def test_a_model_learns_from_the_output(first: Output, storage: Storage):
    """Behaviour: the label follows from the columns, so features that lost their rows or labels would show here."""
    parts = [output(storage, first.result["folder"], name) for name in ("train", "test")]
    (seen, wanted), (unseen, answers) = [
        (np.stack(part["features"].to_numpy(zero_copy_only=False)), part["target"].to_numpy()) for part in parts
    ]
    assert LogisticRegression(max_iter=200).fit(seen, wanted).score(unseen, answers) > 0.8


def test_mlflow_has_the_counts_and_the_artifact(first: Output, mlflow_server: Mlflow):
    client = mlflow.MlflowClient(mlflow_server.url)
    run = client.get_run(first.result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["rows_quarantine"] == ROWS // sample.FAULT_EVERY
    assert run.data.tags["manta.dataset"]
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert names == {"manifest.json", "transform.json"}


def test_the_same_features_are_not_prepared_twice(first: Output, s3: S3):
    before = s3.keys("features/")
    again = drive(prepare.main, run_name="first", **SMALL)
    assert again.result == first.result
    other = drive(prepare.main, run_name="other", num_workers=1, **SMALL)
    assert other.status == 0, other.text
    assert any("is complete" in line for line in other.lines)
    assert other.result["fingerprint"] == first.result["fingerprint"]
    assert s3.keys("features/") == before


def test_a_driver_killed_midway_goes_on_and_ends_with_the_same_bytes(
    first: Output, storage: Storage, ray_cluster: str, monkeypatch: pytest.MonkeyPatch, s3: S3
):
    monkeypatch.setenv("MANTA_STORAGE", f"s3://{BUCKET}/killed")
    root = place("killed")
    write_source(root, "source")
    module = "payloads.features.prepare"
    killed = drive_until(
        module, ray_cluster, lambda line: "measure: 2 of" in line, run_name="k", num_workers=1, **SMALL
    )
    assert killed.status == -signal.SIGKILL, killed.text
    assert not [key for key in s3.keys("killed/") if key.endswith("manifest.json")], "half of it is not announced"
    written = stamps(s3, "killed/features/")
    scans = [key for key in written if "/_work/scan/" in key]
    assert len(scans) == UNITS

    resumed = drive(prepare.main, run_name="k", **SMALL)
    assert resumed.status == 0, resumed.text
    assert f"progress: scan: {UNITS} of {UNITS} units were done before" in resumed.lines
    later = stamps(s3, "killed/features/")
    assert {key: later[key] for key in written} == written, "what was finished is not done again"
    assert digests(root, resumed.result["folder"]) == digests(storage, first.result["folder"])
    assert resumed.result["reasons"] == first.result["reasons"]


def stamps(s3: S3, prefix: str) -> dict[str, str]:
    listed = s3.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"]: entry["LastModified"].isoformat() for entry in listed.get("Contents", [])}


@pytest.fixture
def broken(storage: Storage, request: pytest.FixtureRequest) -> str:
    """A good file to which each test adds a bad one."""
    folder = re.sub(r"\W+", "-", request.node.name)
    storage.write(f"{folder}/a.parquet", parquet(sample.table(0, 2000)))
    return folder


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


BAD_FILES = {
    "empty": (b"", "is empty"),
    "truncated": (parquet(sample.table(0, 100))[:-100], "is not a whole Parquet file"),
    "another schema": (parquet(sample.table(0, 100).drop_columns("age")), "has no column age"),
    "another type": (
        parquet(sample.table(0, 100).set_column(2, "age", pa.array(["young"] * 100))),
        "has column age as string, and the contract says integer",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_cannot_be_used_stops_the_run_unless_it_is_allowed(storage: Storage, broken: str, kind: str):
    content, reason = BAD_FILES[kind]
    storage.write(f"{broken}/bad.parquet", content)
    refused = drive(prepare.main, run_name="bad", source=broken)
    assert refused.status == 1
    assert f"{broken}/bad.parquet, which {reason}" in refused.text
    assert "Traceback" not in refused.text


def test_files_that_may_be_left_out_are_named_in_the_result(storage: Storage, broken: str):
    storage.write(f"{broken}/bad.parquet", b"")
    storage.write(f"{broken}/narrow.parquet", parquet(sample.table(2000, 1000).set_column(
        2, "age", sample.table(2000, 1000)["age"].cast(pa.int16()))))  # fmt: skip
    allowed = drive(prepare.main, run_name="allowed", source=broken, max_refused_files=1)
    assert allowed.status == 0, allowed.text
    assert allowed.result["refused_files"] == {f"{broken}/bad.parquet": "is empty"}
    assert sum(allowed.result["rows"].values()) + allowed.result["filtered"] == 3000, "narrower types are no fault"


def test_a_source_with_too_many_bad_rows_is_refused_with_the_most_frequent_reason(storage: Storage, broken: str):
    refused = drive(prepare.main, run_name="rotten", source=broken, max_quarantined=0.001)
    assert refused.status == 1
    (line,) = [line for line in refused.lines if line.startswith("error: ")]
    assert "20 of 2000 rows break contract interactions, more than --max-quarantined 0.001" in line
    assert "age: above 120" in line


def test_a_missing_source_is_named(storage: Storage):
    refused = drive(prepare.main, run_name="none", source="nowhere")
    assert refused.status == 1
    assert "features/nowhere holds no Parquet file" in refused.text
