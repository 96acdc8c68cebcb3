"""Retrieval, ranking, evaluation and requests of the recommender, by hand-made vectors: no Ray, no training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pytest
import torch
from shelf import TABLE
from shop import WORLD, Folder

from payloads.common.errors import PayloadError
from payloads.data import parquet
from payloads.recommend import catalogue, dataset, interactions
from payloads.recommend.catalogue import Catalogue
from payloads.recommend.evaluate import Quality, judge, ndcg, recall
from payloads.recommend.rank import rank
from payloads.recommend.retrieve import Candidates, Query, Retriever
from payloads.serving.http import RefusedError
from payloads.serving.recommend import schemas


def found(*queries: Query, kind: str = "flat") -> list[list[str]]:
    return [TABLE.items[each.items].tolist() for each in Retriever(TABLE, kind).find(queries)]  # type: ignore[arg-type]


def test_neighbours_come_in_order_without_what_was_seen():
    assert found(Query("u0", 3), Query("u1", 2), Query("u2", 1)) == [["i3", "i2", "i1"], ["i0", "i1"], ["i5"]]


def test_a_user_gets_as_many_however_much_is_left_out_for_others():
    assert found(Query("u0", 2, ("i3", "i2")), Query("u1", 6)) == [["i1", "i0"], [f"i{n}" for n in range(6)]]
    assert found(Query("u0", 6)) == [["i3", "i2", "i1", "i0"]], "there are no more"


def test_what_was_seen_comes_again_where_that_is_wanted():
    assert found(Query("u0", 3, ("i4",), again=True)) == [["i5", "i3", "i2"]]


def test_an_unknown_user_gets_the_most_popular_and_no_position():
    (candidates,) = Retriever(TABLE).find([Query("nobody", 3, ("i3", "unheard-of"))])
    assert TABLE.items[candidates.items].tolist() == ["i1", "i5", "i2"]
    assert candidates.user is None
    assert candidates.scores.tolist() == pytest.approx([5 / 16, 3 / 16, 2 / 16])


def test_a_catalogue_reads_back_as_it_was_written(tmp_path: Path):
    again = catalogue.read(TABLE.write(tmp_path))
    for name in Catalogue.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(TABLE, name))


def test_the_ranker_orders_known_users_and_leaves_the_others():
    def likes_low_numbers(pairs: torch.Tensor) -> torch.Tensor:
        assert pairs.dtype == torch.int64
        return -(pairs[:, 1:] + 100 * pairs[:, :1]).float()

    scores = np.array([3, 2, 1], np.float32)
    groups = [
        Candidates(0, np.array([4, 2, 3]), scores),
        Candidates(None, np.array([1, 5, 0]), scores),
        Candidates(1, np.array([], np.int64), scores[:0]),
        Candidates(2, np.array([1, 0]), scores[:2]),
    ]
    answers = rank(likes_low_numbers, torch.device("cpu"), groups)  # type: ignore[arg-type]
    assert [answer.items.tolist() for answer in answers] == [[2, 3, 4], [1, 5, 0], [], [0, 1]]
    assert [answer.scores.tolist() for answer in answers] == [[-2, -3, -4], [3, 2, 1], [], [-200, -201]]


def test_recall_and_ndcg_are_what_their_definitions_say():
    assert recall(["a", "b", "c"], {"b", "x"}) == 0.5
    assert ndcg(["b", "x", "a"], {"b", "x"}) == pytest.approx(1)
    assert ndcg(["a", "b"], {"b"}) == pytest.approx(1 / np.log2(3))
    assert ndcg([], {"b"}) == 0


GOOD = Quality(recall=0.3, ndcg=0.2, retrieved=0.3, reachable=0.8, popular=0.1, users=10)


@pytest.mark.parametrize(
    ("champion", "lift", "passed"),
    [(None, 2.9, True), (None, 3.1, False), (0.3, 1.5, True), (0.31, 1.5, False)],
)
def test_the_gate_asks_for_more_than_popularity_and_no_less_than_the_champion(
    champion: float | None, lift: float, passed: bool
):
    rival = None if champion is None else replace(GOOD, recall=champion)
    assert judge(GOOD, rival, lift).passed is passed


def test_each_users_last_interactions_are_held_out(tmp_path: Path):
    storage = Folder(pyarrow.fs.LocalFileSystem(), str(tmp_path))  # type: ignore[arg-type]
    world = replace(WORLD, users=20)
    data = dataset.read(storage, interactions.ensure(storage, world), held_out=2)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [20 * 27, 20, 40]
    for user in (0, 19):
        drawn = [f"i{number}" for number in world.interactions(int(data.users[user][1:]))]
        held = [
            data.items[item]
            for part in (data.train, data.validation, data.test)
            for item in part[part[:, 0] == user, 1]
        ]
        assert held == drawn, "in the order of time"
    offsets, history = data.seen((data.train, data.test))
    assert offsets[-1] == len(history) == 20 * 29
    assert set(history[offsets[3] : offsets[4]]) == set(
        np.concatenate([part[part[:, 0] == 3, 1] for part in (data.train, data.test)])
    )


ITEMS = pa.table({"item": ["a", "b"], "category": ["x", "y"], "price": [1.0, 2.0]})
BOUGHT = pa.table({"user": ["u"] * 4, "item": ["a", "b", "a", "b"], "at": [1, 2, 3, 4]})


@pytest.mark.parametrize(
    ("items", "bought", "words"),
    [
        (ITEMS, BOUGHT.set_column(1, "item", pa.array(["a", "b", "c", "c"])), "2 rows have an item that"),
        (ITEMS.drop_columns(["price"]), BOUGHT, "no column price"),
        (pa.concat_tables([ITEMS, ITEMS]), BOUGHT, "listed twice"),
        (ITEMS, BOUGHT.slice(0, 3), "no user has more than 3"),
        (ITEMS, BOUGHT.set_column(2, "at", pa.array([1, 2, None, 4])), "a value missing"),
        (ITEMS, BOUGHT.set_column(2, "at", pa.array(["x", "2", "3", "4"])), "of another type"),
    ],
)
def test_data_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, items: pa.Table, bought: pa.Table, words: str
):
    storage = Folder(pyarrow.fs.LocalFileSystem(), str(tmp_path))  # type: ignore[arg-type]
    parquet.write(storage, "own/items/a.parquet", items)
    parquet.write(storage, "own/interactions/a.parquet", bought)
    with pytest.raises(PayloadError, match=words):
        dataset.read(storage, "own", held_out=2)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "the body is empty"),
        (b'{"user": "u", "k": 3', 400, "not valid JSON"),
        (b'{"user": "\xff"}', 400, "not valid JSON"),
        (b"[]", 422, "not a JSON object with user"),
        (b'{"k": 3}', 422, "user: field required"),
        (b'{"user": 7}', 422, "user: "),
        (b'{"user": ""}', 422, "user: "),
        (b'{"user": "u", "k": 0}', 422, "k: "),
        (b'{"user": "u", "k": 51}', 422, "k: it is more than 50"),
        (b'{"user": "u", "k": "5"}', 422, "k: "),
        (b'{"user": "u", "k": 5.0}', 422, "k: "),
        (b'{"user": "u", "k": NaN}', 422, "k: "),
        (b'{"user": "u", "k": null}', 422, "k: "),
        (b'{"user": "u", "exclude": ["a", 1]}', 422, "exclude[1]: "),
        (json.dumps({"user": "u", "exclude": ["a"] * 1001}).encode(), 422, "exclude: "),
        (b'{"user": "u", "secret": 1}', 422, "a key other than user, k and exclude"),
    ],
)
def test_a_request_is_checked_strictly_and_not_repeated(body: bytes, status: int, words: str):
    with pytest.raises(RefusedError, match=words.replace("[", r"\[").replace("]", r"\]")) as refusal:
        schemas.parse(body, most=50, candidates=100)
    assert refusal.value.status == status
    assert "secret" not in refusal.value.sentence


def test_more_candidates_are_looked_up_where_more_are_asked_for():
    asked = {"user": "u", "k": 30, "exclude": ["a"]}
    assert schemas.parse(json.dumps(asked).encode(), 50, 20) == (Query("u", 30, ("a",)), 30)
    assert schemas.parse(b'{"user": "u"}', 50, 20) == (Query("u", 20), 10)
