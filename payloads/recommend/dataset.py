"""Interactions as arrays: names become positions, and each user's last interactions are held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from payloads.common.errors import PayloadError
from payloads.common.storage import Storage
from payloads.data import parquet

ROWS_AT_ONCE = 1_000_000
_ITEMS = pa.schema({"item": pa.string(), "category": pa.string(), "price": pa.float64()})
_INTERACTIONS = pa.schema({"user": pa.string(), "item": pa.string(), "at": pa.int64()})


@dataclass(frozen=True)
class Interactions:
    """`train`, `validation` and `test` hold (user, item) positions, int64 [n, 2], by user and then by time.

    `categories` int64 [items] are positions of names; `prices` float32 [items] are as they came.
    """

    users: list[str]
    items: list[str]
    categories: np.ndarray
    prices: np.ndarray
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256("\n".join([*self.users, "", *self.items]).encode())
        for array in (self.categories, self.prices, self.train, self.validation, self.test):
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def counts(self) -> np.ndarray:
        """How often each item is in the train part, int64 [items]."""
        return np.bincount(self.train[:, 1], minlength=len(self.items))

    def seen(self, parts: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
        """What each user has in `parts`: offsets int64 [users + 1] into item positions int64 [n]."""
        pairs = np.concatenate(parts)
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        offsets = np.zeros(len(self.users) + 1, np.int64)
        np.cumsum(np.bincount(pairs[:, 0], minlength=len(self.users)), out=offsets[1:])
        return offsets, pairs[:, 1].copy()


def read(storage: Storage, folder: str, held_out: int) -> Interactions:
    """Read `folder`/interactions (user, item, at) and `folder`/items (item, category, price).

    The last `held_out` interactions of a user are the test part, the one before them the validation part; users with
    no more than those are train alone. Raises PayloadError for missing columns and unknown items.
    """
    items = _read(storage, f"{folder}/items", _ITEMS)
    table = _read(storage, f"{folder}/interactions", _INTERACTIONS).sort_by(
        [("user", "ascending"), ("at", "ascending")]
    )
    names = items["item"].combine_chunks()
    item = pc.index_in(table["item"], value_set=names)
    if item.null_count:
        raise PayloadError(f"{folder}/interactions: {item.null_count} rows have an item that {folder}/items lacks")
    if pc.count_distinct(names).as_py() != len(names):
        raise PayloadError(f"{folder}/items: an item is listed twice")
    users = table["user"].combine_chunks().dictionary_encode()
    user = users.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.stack([user, item.to_numpy().astype(np.int64)], axis=1)
    counts = np.bincount(user, minlength=len(users.dictionary))
    left = np.repeat(np.cumsum(counts), counts) - np.arange(len(user))  # 1 for a user's last
    enough = np.repeat(counts > held_out + 1, counts)
    test, validation = enough & (left <= held_out), enough & (left == held_out + 1)
    if not test.any():
        raise PayloadError(
            f"{folder}/interactions: no user has more than {held_out + 1} of them: nothing can be judged"
        )
    categories = items["category"].combine_chunks().dictionary_encode().indices
    return Interactions(
        users=users.dictionary.to_pylist(),
        items=names.to_pylist(),
        categories=categories.to_numpy(zero_copy_only=False).astype(np.int64),
        prices=items["price"].to_numpy().astype(np.float32),
        train=pairs[~test & ~validation],
        validation=pairs[validation],
        test=pairs[test],
    )


def _read(storage: Storage, folder: str, schema: pa.Schema) -> pa.Table:
    """All rows of the Parquet files below `folder`, in this schema; none of them may lack a value."""

    def misfit(found: pa.Schema) -> str | None:
        missing = ", ".join(name for name in schema.names if name not in found.names)
        return f"has no column {missing}" if missing else None

    source = parquet.survey(storage, folder, misfit)
    for name, reason in source.refused.items():
        raise PayloadError(f"{storage.path(name)} {reason}")
    tables = [parquet.read(storage, unit, schema.names) for unit in parquet.units(source, ROWS_AT_ONCE)]
    try:
        table = pa.concat_tables(table.select(schema.names).cast(schema) for table in tables)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise PayloadError(f"{storage.path(folder)} has a column of another type: {error}") from None
    if not table.num_rows or any(column.null_count for column in table.columns):
        raise PayloadError(f"{storage.path(folder)} is empty or has rows with a value missing")
    return table
