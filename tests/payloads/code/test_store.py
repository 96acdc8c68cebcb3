"""Feast on Parquet and a real Redis: history, latest values, and what is answered when Redis is slow, gone or empty."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from redis_server import PASSWORD, RedisServer

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.serving.http import RefusedError
from payloads.serving.store import Store, StoreArgs, parse
from payloads.store import definitions, materialize, online, progress, sample
from payloads.store.repository import connection, open_store
from payloads.store.settings import Redis, StoreSettings, read_redis

SHOP = sample.Shop(users=60)
DAYS, LAST = 9, date(2026, 3, 10)
REFS = [*(f"user_activity:{name}" for name in ("sessions", "minutes", "spend")), "item_popularity:views"]
ROWS = [{"user_id": number, "item_id": number // 2} for number in range(SHOP.users)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    found = RedisServer(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.kill()


@pytest.fixture
def redis(server: RedisServer) -> Redis:
    """An empty one, whatever the test before did to it."""
    if server.process is None:
        server.start()
    server.client.flushall()
    return read_redis(server.environment)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made data of nine days, the last of them in a folder of its own beside them."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("user_activity", "item_popularity", "user_profile", "labels"):
        for part in ("now", "later"):
            (folder / part / name).mkdir(parents=True)
    storage = Storage(pyarrow.fs.LocalFileSystem(), str(folder))  # type: ignore[arg-type]
    assert sample.ensure(storage, "now", SHOP, DAYS, LAST) == 4 * DAYS
    assert sample.ensure(storage, "now", SHOP, DAYS, LAST) == 0, "a day that is there is not written again"
    sample.ensure(storage, "later", SHOP, 1, LAST + timedelta(days=1))
    return folder


def store_of(tmp_path: Path, redis: Redis, sources: Path) -> FeatureStore:
    store = open_store(str(tmp_path / "registry.db"), "shop", redis, timeout_s=5, writes=True)
    store.apply(definitions.definitions(str(sources)))
    return store


@pytest.fixture
def store(tmp_path: Path, redis: Redis, sources: Path) -> FeatureStore:
    return store_of(tmp_path, redis, sources / "now")


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


END = midnight(LAST + timedelta(days=1))


def materialise(store: FeatureStore, redis: Redis, until: datetime, lateness_hours: float = 48) -> dict[str, str]:
    settings = StoreSettings(run_name="a", lateness_hours=lateness_hours)
    return materialize._materialise(settings, store, redis, until)


class Reader:
    """An OnlineFeatures with a clock and a tally of what it counted."""

    def __init__(self, store: FeatureStore, at: datetime, timeout_s: float = 5.0) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.features = online.OnlineFeatures(store, definitions.SERVICE, timeout_s, self._count, at.timestamp)

    def _count(self, view: str, outcome: str, entities: int) -> None:
        self.outcomes[view, outcome] += entities

    def read(self, rows: list[dict[str, int]]) -> list[online.Features]:
        return asyncio.run(self.closing(rows))

    async def closing(self, rows: list[dict[str, int]]) -> list[online.Features]:
        found = await self.features.read(rows)
        online_store: Any = self.features.store._get_provider().online_store
        if online_store._client_async is not None:  # it belongs to the event loop that ends here
            await online_store._client_async.aclose()
            online_store._client_async = None
        return found


def history(store: FeatureStore, rows: list[dict[str, int]], at: datetime, **more: Any) -> pa.Table:
    labels = pd.DataFrame([{**row, "event_timestamp": at} for row in rows])
    return store.get_historical_features(
        entity_df=labels, features=store.get_feature_service(definitions.SERVICE), **more
    ).to_arrow()


def agree(store: FeatureStore, at: datetime) -> bool:
    """Whether what is served for all users is what history says of that time, defaults where it is empty."""
    service = online.plan(store, definitions.SERVICE)
    default = {name: value for view in service.views for name, value in view.defaults.items()}
    offline = [
        {name: default[name] if row[name] is None else row[name] for name in default}
        for row in history(store, ROWS, at).to_pylist()
    ]
    return [found.values for found in Reader(store, at).read(ROWS)] == offline


def test_what_is_served_is_what_history_says_of_the_latest_time(store: FeatureStore, redis: Redis):
    materialise(store, redis, END)
    assert agree(store, END)
    reader = Reader(store, END)
    reader.read(ROWS)
    assert reader.outcomes["user_activity", "found"] > len(ROWS) / 2


def test_corrections_and_rows_that_are_late_reach_serving_with_the_next_run(
    tmp_path: Path, redis: Redis, sources: Path
):
    """One in twenty of the made rows is late, one in fifty corrected under the same time."""
    store = both_days(tmp_path, redis, sources)
    materialise(store, redis, END)
    store = store_of(tmp_path, redis, tmp_path / "all")
    assert agree(store, END) is False, "what arrived on the day after was not there yet"
    later = END + timedelta(days=1)
    materialise(store, redis, later)
    assert agree(store, later)


def test_without_the_way_back_they_would_not(tmp_path: Path, redis: Redis, sources: Path):
    """The test of the test before."""
    store = both_days(tmp_path, redis, sources)
    materialise(store, redis, END)
    later = END + timedelta(days=1)
    store = store_of(tmp_path, redis, tmp_path / "all")
    materialise(store, redis, later, lateness_hours=0)
    assert agree(store, later) is False


def both_days(tmp_path: Path, redis: Redis, sources: Path) -> FeatureStore:
    """A store over nine days, and in `all` those and the tenth."""
    for name in ("user_activity", "item_popularity", "user_profile"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for part in ("now", "later"):
            for file in (sources / part / name).iterdir():
                (tmp_path / "all" / name / file.name).symlink_to(file)
    return store_of(tmp_path, redis, sources / "now")


def test_what_redis_has_is_not_sent_again_and_an_empty_one_gets_everything(
    store: FeatureStore, redis: Redis, server: RedisServer
):
    first = materialise(store, redis, END)
    assert first["user_activity"] == (END - timedelta(days=7)).isoformat()
    assert materialise(store, redis, END) == {}
    server.kill()
    server.start()
    assert materialise(store, redis, END) == first
    assert agree(store, END)


def test_a_view_with_other_fields_is_materialised_anew(store: FeatureStore, redis: Redis):
    noted = progress.Progress(progress.client(redis, 5), "shop")
    view = store.get_feature_view("user_activity")
    noted.note(view, END)
    assert noted.reached(view) == END
    view.features = view.features[:-1]
    assert noted.reached(view) is None


@pytest.mark.parametrize(
    ("reached_h", "start_h"),
    [(None, -168), (0, None), (1, None), (-1, -3), (-1000, -168)],
    ids=["never", "up to there", "beyond", "an hour before", "long ago: what is older than the ttl is of no use"],
)
def test_the_window_goes_back_by_the_lateness(store: FeatureStore, reached_h: int | None, start_h: int | None):
    view = store.get_feature_view("user_activity")
    reached = None if reached_h is None else END + timedelta(hours=reached_h)
    found = progress.window(view, reached, END, timedelta(hours=2))
    assert found == (None if start_h is None else END + timedelta(hours=start_h))


def test_history_keeps_labels_in_order_and_leaves_empty_what_has_expired(store: FeatureStore):
    rows = [ROWS[5], ROWS[1], {"user_id": 10**9, "item_id": 10**9}]
    found = history(store, rows, END)
    assert found["user_id"].to_pylist() == [5, 1, 10**9]
    assert found["sessions"].type == pa.int64(), "a missing whole number makes no float of the others"
    assert [found[name].to_pylist()[2] for name in ("sessions", "views", "plan")] == [None] * 3
    expired = history(store, rows, END + timedelta(days=100))
    assert expired["sessions"].null_count == expired["views"].null_count == len(rows)
    assert expired["plan"].null_count == 1, "profiles last for a year"


def test_history_knows_only_what_had_arrived_unless_it_is_told_otherwise(tmp_path: Path, redis: Redis):
    event, arrived = END - timedelta(hours=5), END - timedelta(hours=1)
    (tmp_path / "user_activity").mkdir()
    table = pa.table(
        {
            "user_id": [1],
            "sessions": [7],
            "minutes": [1.0],
            "spend": [2.0],
            "event_time": pa.array([event], pa.timestamp("ns")),
            "arrived": pa.array([arrived], pa.timestamp("ms", "Europe/Berlin")),
        }
    )
    pq.write_table(table, tmp_path / "user_activity" / "a.parquet")
    store = store_of(tmp_path, redis, tmp_path)

    def sessions(at: datetime, as_known: bool) -> int | None:
        labels = pd.DataFrame({"user_id": [1], "event_timestamp": [at]})
        job = store.get_historical_features(labels, ["user_activity:sessions"], filter_by_created_timestamp=as_known)
        return job.to_arrow()["sessions"][0].as_py()

    second = timedelta(seconds=1)
    assert [sessions(at, True) for at in (arrived - second, arrived)] == [None, 7]
    assert [sessions(at, False) for at in (event - second, event)] == [None, 7]


@pytest.mark.parametrize(
    ("labels", "features", "sentence"),
    [
        ({"user_id": [1]}, REFS, "no pandas table with a column event_timestamp"),
        ({"user_id": [None], "event_timestamp": [END]}, REFS[:1], "a row has no user_id"),
        ({"user_id": [1], "event_timestamp": [END], "spend": [1]}, REFS[:3], "two columns are called spend"),
    ],
)
def test_labels_that_cannot_be_joined_are_refused(
    store: FeatureStore, labels: dict[str, Any], features: list[str], sentence: str
):
    with pytest.raises(PayloadError, match=sentence):
        store.get_historical_features(pd.DataFrame(labels), features).to_arrow()


def test_sources_that_are_not_there_are_named(tmp_path: Path, redis: Redis):
    store = store_of(tmp_path, redis, tmp_path / "nowhere")
    with pytest.raises(PayloadError, match="source user_activity: there is nothing at"):
        history(store, ROWS, END)


def test_a_feature_that_is_too_old_is_served_as_its_default_and_said_to_be(store: FeatureStore, redis: Redis):
    materialise(store, redis, END)
    (found,) = Reader(store, END + timedelta(days=30)).read([ROWS[1]])
    assert found.defaults == {"user_activity": "expired", "item_popularity": "expired"}
    assert (found.values["sessions"], found.values["spend"]) == (0, 0.0)
    assert found.values["plan"] in ("free", "plus", "team")


def test_someone_unknown_gets_the_defaults(store: FeatureStore, redis: Redis):
    materialise(store, redis, END)
    reader = Reader(store, END)
    (found,) = reader.read([{"user_id": 10**9, "item_id": 10**9}])
    assert found.values == {
        "sessions": 0,
        "minutes": 0.0,
        "spend": 0.0,
        "views": 0,
        "purchases": 0,
        "age": 35,
        "plan": "free",
    }
    assert set(found.defaults.values()) == {"missing"}
    assert reader.outcomes == Counter(dict.fromkeys([(view, "missing") for view in found.defaults], 1))


def test_while_redis_hangs_the_defaults_come_and_the_event_loop_turns(
    store: FeatureStore, redis: Redis, server: RedisServer
):
    materialise(store, redis, END)
    reader = Reader(store, END, timeout_s=1)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    async def both() -> list[online.Features]:
        beside = asyncio.create_task(turn())
        try:
            return await reader.features.read(ROWS[:2])
        finally:
            beside.cancel()

    server.freeze()
    try:
        found = asyncio.run(both())
    finally:
        server.thaw()
    assert [set(each.defaults.values()) for each in found] == [{"late"}] * 2
    assert turns > 5, "a second of waiting, in which a blocked loop would turn no more than once"


def test_redis_killed_and_back(store: FeatureStore, redis: Redis, server: RedisServer):
    """Redis is not asked for a second after five failures; when it is back, and filled, so are its features."""
    materialise(store, redis, END)
    reader = Reader(store, END, timeout_s=0.1)
    server.kill()
    reasons = [set(reader.read([ROWS[1]])[0].defaults.values()) for _ in range(online.FAILURES + 1)]
    assert all(reason in ({"late"}, {"failed"}) for reason in reasons[:-1])
    assert reasons[-1] == {"paused"}
    server.start()
    materialise(store, redis, END)
    reader.features.timeout_s = 5
    deadline = time.monotonic() + 60
    while "user_profile" in (found := reader.read([ROWS[1]])[0]).defaults:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_what_cannot_be_served_is_said_at_the_start(tmp_path: Path, redis: Redis, store: FeatureStore):
    with pytest.raises(PayloadError, match="feature service other is not registered in project shop"):
        online.plan(store, "other")
    objects = definitions.definitions(str(tmp_path))
    objects[-1].feature_view_projections[0].features[0].tags.clear()
    store.apply(objects)
    store.refresh_registry()
    with pytest.raises(PayloadError, match="has no tag `default`"):
        online.plan(store, definitions.SERVICE)


def test_who_only_reads_changes_nothing_in_the_registry(store: FeatureStore, tmp_path: Path, redis: Redis):
    """Feast's own way would be an empty registry where there seems to be none."""
    with pytest.raises(PayloadError, match=r"registry .*absent.db is not there"):
        online.plan(open_store(str(tmp_path / "absent.db"), "shop", redis, timeout_s=5), definitions.SERVICE)
    assert not (tmp_path / "absent.db").exists()
    reader = open_store(str(tmp_path / "registry.db"), "shop", redis, timeout_s=5)
    assert [view.name for view in reader.list_feature_views()]
    with pytest.raises(PayloadError, match="only reads it"):
        reader.apply(definitions.definitions(str(tmp_path)))


def test_the_server_answers_with_features_and_their_defaults(
    tmp_path: Path, server: RedisServer, redis: Redis, sources: Path, monkeypatch: pytest.MonkeyPatch
):
    materialise(store_of(tmp_path, redis, sources / "now"), redis, END)
    for name, value in {
        **server.environment,
        "MANTA_STORAGE": "s3://nowhere",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("payloads.store.repository.registry_uri", lambda *_: str(tmp_path / "registry.db"))
    app = Store(StoreArgs(timeout_s=5)).__serve_build_asgi_app__()

    async def asked() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
            bodies = [{"rows": ROWS[:2]}, {"rows": [{"user_id": 1}]}]
            return [await client.post("/features", json=body) for body in bodies] + [await client.get("/service")]

    good, bad, service = asyncio.run(asked())
    assert good.status_code == 200
    answer = good.json()["rows"]
    assert [set(row["features"]) for row in answer] == [set(answer[0]["features"])] * 2
    # The made data are long past, and only the profile lasts for a year.
    assert set(answer[0]["defaults"]) >= {"user_activity", "item_popularity"}
    assert (bad.status_code, bad.json()["error"]) == (422, "rows: a row has not the keys item_id, user_id")
    assert service.json()["keys"] == ["user_id", "item_id"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"rows": []}', 422),
        (b'{"rows": [{"user_id": "1"}]}', 422),
        (b'{"rows": [{"user_id": 1.5}]}', 422),
        (b'{"rows": [{"user_id": true}]}', 422),
        (b'{"rows": [{"user_id": -1}]}', 422),
        (b'{"rows": [{"user_id": 9223372036854775808}]}', 422),
        (b'{"rows": [[1]]}', 422),
        (b'{"rows": [{"user_id": 1}], "more": 1}', 422),
        (json.dumps({"rows": [{"user_id": 1}] * 65}).encode(), 422),
    ],
)
def test_a_request_of_another_form_is_refused_without_an_echo(body: bytes, status: int):
    with pytest.raises(RefusedError) as refused:
        parse(body, max_rows=64)
    assert refused.value.status == status
    assert "user_id" not in refused.value.sentence


def test_a_password_is_quoted_for_feast_and_never_shown():
    redis = read_redis({"MANTA_REDIS": "redis:6379", "MANTA_REDIS_PASSWORD": PASSWORD})
    assert f'password="{PASSWORD}"' in connection(redis, 1)
    assert PASSWORD not in repr(redis)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "environment variable MANTA_REDIS is not set"),
        ({"MANTA_REDIS": "redis"}, "environment variable MANTA_REDIS is not valid"),
        ({"MANTA_REDIS": "redis:1", "MANTA_REDIS_PASSWORD": "a,b=c"}, "MANTA_REDIS_PASSWORD is not valid: .*letters"),
    ],
)
def test_a_redis_that_is_not_named_well_is_refused(environment: dict[str, str], sentence: str):
    with pytest.raises(PayloadError, match=sentence) as refused:
        read_redis(environment)
    assert "a,b=c" not in str(refused.value)
