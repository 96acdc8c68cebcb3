"""The feature store's driver on real Ray, S3, MLflow and Redis: what it writes, and what a second run adds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from drivers import Output, drive, drive_until
from redis_server import PASSWORD, RedisServer
from services import BUCKET, S3

from payloads.common.settings import read_platform
from payloads.common.storage import open_storage
from payloads.store import definitions, materialize, online
from payloads.store.repository import open_store, registry_uri
from payloads.store.settings import read_redis

FLAGS = {"sample_days": 8, "sample_users": 300, "cpus_per_worker": 1}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    found = RedisServer(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.kill()


@pytest.fixture(autouse=True)
def own_place(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**redis.environment, "MANTA_STORAGE": f"s3://{BUCKET}/store-test"}.items():
        monkeypatch.setenv(name, value)


def run(name: str, until: str) -> Output:
    output = drive(materialize.main, run_name=name, until=until, **FLAGS)
    assert output.status == 0, output.text
    return output


def test_a_killed_run_goes_on_and_the_next_one_adds_what_has_come_since(ray_cluster: str, s3: S3):
    killed = drive_until(
        "payloads.store.materialize",
        ray_cluster,
        when=lambda: any("/_work/" in key for key in s3.keys("store-test/store/shop/training")),
        run_name="first",
        until="2026-03-10",
        **FLAGS,
    )
    assert killed.status != 0
    first = run("first", "2026-03-10")
    assert "files of labels were joined before" in first.text
    result = first.result
    assert result["rows"] == 8 * 300
    assert set(result["materialised"]) == {"user_activity", "item_popularity", "user_profile"}
    assert 0 < result["missing"]["sessions"] < 0.5 * result["rows"], "only early labels have nothing before them"
    _training_set_tells_something(result["folder"])

    assert run("first", "2026-03-10").result == result
    second = run("second", "2026-03-11").result
    assert second["rows"] == 9 * 300
    assert second["materialised"]["user_activity"].startswith("2026-03-08"), "48 h before what was reached"
    assert PASSWORD not in first.text + killed.text

    platform = read_platform()
    store = open_store(registry_uri(platform, "shop"), "shop", read_redis(), 5)
    assert online.plan(store, definitions.SERVICE).keys == ("user_id", "item_id")


def test_without_redis_the_run_says_so_in_one_sentence(ray_cluster: str, redis: RedisServer):
    redis.kill()
    output = drive(materialize.main, run_name="third", until="2026-03-12", **FLAGS)
    assert output.status == 1
    assert output.lines[-1].startswith(f"error: Redis at 127.0.0.1:{redis.port} failed (ConnectionError)")


def _training_set_tells_something(folder: str) -> None:
    """Buyers had spent more: the sample's law, which a join with the wrong rows would not show."""
    storage = open_storage(read_platform())
    found = storage.filesystem.get_file_info(pyarrow.fs.FileSelector(storage.path(folder)))
    parts = [info.path for info in found if info.path.endswith(".parquet")]
    table = pa.concat_tables([pq.read_table(path, filesystem=storage.filesystem) for path in parts])
    spend = table["spend"].to_numpy(zero_copy_only=False)
    bought = table["bought"].to_numpy(zero_copy_only=False)
    assert np.nanmean(spend[bought]) > 1.2 * np.nanmean(spend[~bought])
