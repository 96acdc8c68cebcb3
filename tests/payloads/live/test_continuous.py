"""Continuous training on real Ray, S3 and MLflow: what is new is trained on once, and nothing worse is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mlflow
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drivers import Output, drive
from services import BUCKET, Mlflow

from payloads.common.errors import PayloadError
from payloads.common.settings import Platform, read_platform
from payloads.common.storage import Storage, open_storage
from payloads.common.tracking import connect
from payloads.continuous import sample, train, work
from payloads.continuous.lease import HeldError, Lease
from payloads.continuous.objects import Objects
from payloads.continuous.settings import ContinuousSettings
from payloads.data.digits import build_table

ROOT = f"s3://{BUCKET}/continuous"
MODEL = "digits-continuous"
SMALL = {
    "run_name": "nightly", "model_name": MODEL, "experiment": "continuous", "hidden": 128, "depth": 2, "dropout": 0.1,
    "num_workers": 1, "gate_accuracy": 0.5, "lease_s": 5,
}  # fmt: skip
FOLDER = ContinuousSettings(run_name="x").dataset


@pytest.fixture(scope="module", autouse=True)
def own_root(s3: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MANTA_STORAGE", ROOT)
        yield


@pytest.fixture(scope="module")
def platform(own_root: None, mlflow_server: Mlflow) -> Platform:
    return read_platform()


@pytest.fixture(scope="module")
def storage(platform: Platform) -> Storage:
    return open_storage(platform)


@pytest.fixture(scope="module")
def objects(platform: Platform) -> Objects:
    return Objects(platform)


@pytest.fixture(scope="module")
def client(mlflow_server: Mlflow) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(mlflow_server.url, mlflow_server.url)


def run(**flags: object) -> Output:
    output = drive(train.main, **{**SMALL, **flags})
    assert output.status == 0, output.text
    return output


def digits_of(*labels: str) -> pa.Table:
    """The rows of these labels that the sample's first day lacks."""
    table = build_table()
    fresh = pc.invert(pc.is_in(table["id"], value_set=sample.day(0)["id"].combine_chunks()))
    return table.filter(pc.and_(fresh, pc.is_in(table["label"], value_set=pa.array(labels))))


def write(storage: Storage, day: str, table: pa.Table) -> None:
    sample.write(storage, f"{FOLDER}/day={day}/part.parquet", table)


@pytest.fixture(scope="module")
def first(storage: Storage, ray_cluster: str) -> Output:
    """One day, few epochs: a champion that can be improved upon."""
    return run(sample_days=1, epochs=2, lr=0.002)


@pytest.fixture(scope="module")
def second(first: Output, storage: Storage) -> Output:
    """A day of zeros and ones alone, with every earlier row trained on again."""
    write(storage, "2026-01-02", digits_of("0", "1"))
    return run(epochs=6, lr=0.003, replay=100)


@pytest.fixture(scope="module")
def third(second: Output, storage: Storage) -> Output:
    """A day of twos and threes alone, and nothing replayed."""
    write(storage, "2026-01-03", digits_of("2", "3"))
    return run(**FORGETFUL)


FORGETFUL = {"epochs": 6, "lr": 0.01, "replay": 0}


def champion(client: mlflow.MlflowClient) -> str:
    return str(client.get_model_version_by_alias(MODEL, "champion").version)


def test_the_first_run_trains_on_all_that_is_there(first: Output) -> None:
    result = first.result
    assert (result["outcome"], result["start"], result["champion"]) == ("registered", "cold", None)
    assert result["partitions"]["new"] == ["day=2026-01-01"]
    assert result["rows"]["replayed"] == 0


def test_a_later_run_goes_on_from_the_champion_with_what_is_new(first: Output, second: Output) -> None:
    result = second.result
    assert result["start"] == "warm"
    assert result["champion"] == first.result["version"]
    assert (result["partitions"]["new"], result["partitions"]["known"]) == (["day=2026-01-02"], 1)
    assert result["rows"]["replayed"] == first.result["rows"]["new"], "all of the earlier day's, as asked"
    assert result["outcome"] == "registered", result["reason"]
    assert result["earlier"]["lost"] <= result["earlier"]["gained"], "what is replayed is not forgotten"


def test_a_challenger_that_has_forgotten_is_discarded_with_the_reason(
    second: Output, third: Output, client: mlflow.MlflowClient
) -> None:
    result = third.result
    assert result["rows"]["replayed"] == 0
    assert result["outcome"] == "discarded"
    assert result["earlier"]["rows"] > 100, "held-out rows of earlier partitions are judged by too"
    assert result["earlier"]["lost"] > result["earlier"]["gained"]
    assert result["earlier"]["p"] < 0.05
    assert "below" in result["reason"]
    tags = client.get_run(result["run_id"]).data.tags
    assert (tags[work.OUTCOME_TAG], tags[work.REASON_TAG]) == ("discarded", result["reason"])
    assert champion(client) == second.result["version"]


def test_what_was_tried_in_vain_is_not_tried_again(third: Output) -> None:
    again = run(**FORGETFUL)
    assert again.result["outcome"] == "nothing new"
    assert f"day=2026-01-03 was tried before: discarded, {third.result['reason']}" in again.result["reason"]
    assert again.epochs == []


Look = Callable[..., work.Task]


@pytest.fixture
def look(third: Output, platform: Platform, storage: Storage, objects: Objects) -> Look:
    """What a run would find to do now."""

    def ask(**flags: object) -> work.Task:
        settings = ContinuousSettings.model_validate({**SMALL, **flags})
        return work.look(settings, platform, storage, objects, connect(platform))

    return ask


def test_a_partition_that_was_changed_is_noticed_and_one_that_was_written_again_is_not(
    look: Look, storage: Storage
) -> None:
    write(storage, "2026-01-02", digits_of("0", "1"))
    assert look().plan.changed == ()
    write(storage, "2026-01-02", digits_of("0", "1", "4"))
    found = look()
    assert [each.name for each in found.plan.changed] == ["day=2026-01-02"]
    assert [each.name for each in found.accepted] == ["day=2026-01-02", "day=2026-01-03"], "what was discarded too"
    write(storage, "2026-01-02", digits_of("0", "1"))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"PAR1 cut off", "is not a whole Parquet file"),
        (b"", "is empty"),
        (pa.table({"id": [1], "label": ["3"]}), "has no column pixels"),
    ],
)
def test_a_partition_that_cannot_be_read_is_left_out_with_the_reason(
    look: Look, storage: Storage, table: bytes | pa.Table, reason: str
) -> None:
    path = f"{FOLDER}/day=2026-01-04/part.parquet"
    if isinstance(table, bytes):
        storage.write(path, table)
    else:
        sample.write(storage, path, table)
    try:
        found = look()
        assert reason in found.refused["day=2026-01-04"]
        assert [each.name for each in found.accepted] == ["day=2026-01-03"]
    finally:
        storage.filesystem.delete_file(storage.path(path))


@pytest.mark.parametrize(
    ("change", "words"),
    [({"hidden": 64}, "its shape is"), ({"test_fraction": 0.2}, "its split is"), ({"classes": "0,1,2"}, "its classes")],
)
def test_weights_that_do_not_fit_are_no_start(look: Look, change: dict[str, object], words: str) -> None:
    """Under another split the champion has seen rows that are now held out."""
    found = look(**change)
    assert not found.warm
    assert len(found.accepted) == 3
    assert words in found.notes[0]


def test_a_run_that_died_when_its_model_was_registered_counts_as_finished(
    look: Look, second: Output, client: mlflow.MlflowClient
) -> None:
    client.set_terminated(second.result["run_id"], "KILLED")
    assert look().champion.version == second.result["version"]
    assert client.get_run(second.result["run_id"]).info.status == "FINISHED"


def test_a_champion_of_unknown_origin_is_no_start(look: Look, second: Output, client: mlflow.MlflowClient) -> None:
    version = client.get_model_version(MODEL, second.result["version"])
    other = client.create_run(client.create_experiment("foreign"))
    client.create_registered_model("foreign")
    model_id = version.source.rsplit("/", 1)[-1]
    copy = client.create_model_version("foreign", version.source, run_id=other.info.run_id, model_id=model_id)
    client.set_registered_model_alias("foreign", "champion", copy.version)
    found = look(model_name="foreign")
    assert not found.warm
    assert "nothing says what it has seen" in found.notes[0]


def test_a_second_run_gives_way_to_one_that_is_alive(third: Output, objects: Objects) -> None:
    with Lease(objects, f"continuous-runs/{MODEL}.json", "another", 2):
        output = run()
    assert output.result["outcome"] == "busy"
    assert "run another is at work" in output.result["reason"]


def test_the_lease_of_a_run_that_died_is_taken_over(objects: Objects) -> None:
    dead = Lease(objects, "continuous-runs/dead.json", "dead", 0.5)
    dead.__enter__()
    with pytest.raises(HeldError, match="run dead is at work"), Lease(objects, dead.path, "early", 20):
        pass
    dead.ended.set()
    dead.thread.join()
    with Lease(objects, dead.path, "heir", 1):
        assert dead._write(dead.etag) is None, "what the dead one wrote now would not count"
    with Lease(objects, dead.path, "next", 60) as following:
        following.check()


def test_a_run_that_lost_its_lease_registers_nothing(objects: Objects) -> None:
    with Lease(objects, "continuous-runs/lost.json", "loser", 60) as lease:
        objects.write_if(lease.path, {"owner": "thief", "free": False, "id": "x"}, lease.etag)
        lease.etag = lease._write(lease.etag)
        with pytest.raises(PayloadError, match="nothing is registered"):
            lease.check()
