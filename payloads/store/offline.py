"""Feast's history over folders of Parquet on object storage: an offline store of our own, plugged in by its name.

Feast's engine for files (Dask) is not used: it needs pytz, which pandas 3 no longer brings, and it drops a label whose
features have all expired instead of leaving them empty. Features stay in Arrow, so a missing integer is no float.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.repo_config import FeastConfigBaseModel

from payloads.common.errors import PayloadError
from payloads.store import join
from payloads.store.files import micros, moment, read, utc

LABEL_TIME = "event_timestamp"


class ParquetOfflineStoreConfig(FeastConfigBaseModel):
    """Feast finds it by the store's name and the ending."""

    type: Literal["payloads.store.offline.ParquetOfflineStore"] = "payloads.store.offline.ParquetOfflineStore"


class ParquetJob(RetrievalJob):
    """A retrieval that is done when its result is asked for."""

    def __init__(self, evaluate: Callable[[], pa.Table], full_names: bool, metadata: RetrievalMetadata | None) -> None:
        self.evaluate = evaluate
        self.full_names = full_names
        self.about = metadata

    @property
    def full_feature_names(self) -> bool:
        return self.full_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self.about

    def _to_arrow_internal(self, **_: Any) -> pa.Table:
        return self.evaluate()

    def _to_df_internal(self, **_: Any) -> pd.DataFrame:
        return self.evaluate().to_pandas()


class ParquetOfflineStore(OfflineStore):
    """What Feast asks of a history: features as of a time, and the latest or all rows of a window of time.

    Feast gives everything by name, and more than is needed here.
    """

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        *,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **_: Any,
    ) -> RetrievalJob:
        """`entity_df` (pandas) has the join keys and `event_timestamp`; its rows come back in their order, each with
        its features as of that time, null where there are none."""
        if not isinstance(entity_df, pd.DataFrame) or LABEL_TIME not in entity_df:
            raise PayloadError(f"the labels are no pandas table with a column {LABEL_TIME}: give one")
        wanted = _by_view(feature_views, feature_refs)

        def evaluate() -> pa.Table:
            labels = pa.Table.from_pandas(entity_df, preserve_index=False)
            found = labels
            for view, features in wanted:
                for name, column in _joined(labels, view, features, filter_by_created_timestamp).items():
                    full = f"{view.projection.name_to_use()}__{name}" if full_feature_names else name
                    if full in found.column_names:
                        raise PayloadError(f"two columns are called {full}: ask for full feature names")
                    found = found.append_column(full, column)
            return found

        times = pd.to_datetime(entity_df[LABEL_TIME], utc=True)
        keys = [name for name in entity_df.columns if name != LABEL_TIME]
        metadata = RetrievalMetadata(feature_refs, keys, times.min(), times.max())
        return ParquetJob(evaluate, full_feature_names, metadata)

    @staticmethod
    def pull_latest_from_table_or_query(
        *,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
        **_: Any,
    ) -> RetrievalJob:
        def evaluate() -> pa.Table:
            times = _times(timestamp_field, created_timestamp_column)
            columns = [*join_key_columns, *feature_name_columns, *times]
            rows = read(data_source, columns, timestamp_field, start_date, end_date)
            (codes,) = _codes([rows], join_key_columns)
            return rows.take(join.latest(_events(rows, codes, times)))

        return ParquetJob(evaluate, False, None)

    @staticmethod
    def pull_all_from_table_or_query(
        *,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        **_: Any,
    ) -> RetrievalJob:
        columns = [*join_key_columns, *feature_name_columns, *_times(timestamp_field, created_timestamp_column)]
        return ParquetJob(lambda: read(data_source, columns, timestamp_field, start_date, end_date), False, None)


def _by_view(views: Sequence[FeatureView], refs: Sequence[str]) -> list[tuple[FeatureView, list[str]]]:
    """The views with their features, in the order in which they are asked for."""
    by_name = {view.projection.name_to_use(): view for view in views}
    wanted: dict[str, list[str]] = {}
    for ref in refs:
        name, _, feature = ref.partition(":")
        if name not in by_name:
            raise PayloadError(f"feature {ref} is of no view that has a history: ask for another")
        wanted.setdefault(name, []).append(feature)
    return [(by_name[name], features) for name, features in wanted.items()]


def _joined(labels: pa.Table, view: FeatureView, features: list[str], as_known: bool) -> dict[str, pa.ChunkedArray]:
    """Columns of `view`, one value a label, null where no event is in reach."""
    source = view.batch_source
    times = _times(source.timestamp_field, source.created_timestamp_column)
    keys = [column.name for column in view.entity_columns]
    renamed = view.projection.join_key_map
    asked = labels.select([renamed.get(key, key) for key in keys]).rename_columns(keys)
    label_time = micros(utc(labels[LABEL_TIME]))
    if not len(label_time):
        start = end = datetime.now(UTC)
    else:
        end = moment(label_time.max())
        start = moment(label_time.min()) - view.ttl if view.ttl else None
    rows = read(source, [*keys, *features, *times], source.timestamp_field, start, end)
    label_codes, codes = _codes([asked, rows], keys)
    found = join.as_of(
        label_codes,
        label_time,
        _events(rows, codes, times),
        view.ttl // timedelta(microseconds=1) if view.ttl else None,
        as_known=as_known,
    )
    taken = rows.select(features).take(pa.array(found, mask=found == join.NONE))
    return {name: taken[name] for name in features}


def _times(event: str, created: str | None) -> list[str]:
    return [event, created] if created else [event]


def _events(rows: pa.Table, codes: np.ndarray, times: Sequence[str]) -> join.Events:
    return join.Events(codes, micros(rows[times[0]]), micros(rows[times[-1]]))


def _codes(tables: Sequence[pa.Table], keys: Sequence[str]) -> list[np.ndarray]:
    """An int64 for each row of each table, equal where all keys are equal."""
    if not keys:
        return [np.zeros(len(table), np.int64) for table in tables]
    together = pd.concat([table.select(list(keys)).to_pandas() for table in tables], ignore_index=True)
    if together.isna().any(axis=None):
        raise PayloadError(f"a row has no {' or '.join(keys)}: leave such rows out")
    codes = together.groupby(list(keys), sort=False).ngroup().to_numpy(np.int64)
    return np.split(codes, np.cumsum([len(table) for table in tables])[:-1])
