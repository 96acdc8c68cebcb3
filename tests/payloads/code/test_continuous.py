"""Continuous training's own decisions: what is new, what is forgotten, and how the sample is cut."""

from __future__ import annotations

import numpy as np
import pytest

from payloads.common.cli import parse
from payloads.common.errors import PayloadError
from payloads.continuous import forgetting, rows, sample
from payloads.continuous.objects import Found
from payloads.continuous.partitions import fingerprints, partitions, plan
from payloads.continuous.settings import ContinuousSettings
from payloads.data import pipeline, splits
from payloads.data.digits import build_table
from payloads.training.paired import Comparison


def found(path: str, etag: str = "e", size: int = 1) -> Found:
    return Found(f"data/{path}", etag, size)


DAYS = [found("day=1/a.parquet"), found("day=1/b.parquet"), found("day=2/a.parquet")]


def test_files_of_one_folder_are_one_partition() -> None:
    first, second = partitions("data", DAYS)
    assert (first.name, first.files) == ("day=1", ("data/day=1/a.parquet", "data/day=1/b.parquet"))
    assert second.name == "day=2"
    (deeper,) = partitions("data", [found("day=1/hour=07/a.parquet")])
    assert deeper.name == "day=1/hour=07"


@pytest.mark.parametrize("path", ["a.parquet", "day=1/_SUCCESS", "drafts/a.parquet", "day=1/tmp/a.parquet"])
def test_what_lies_in_no_partition_is_none(path: str) -> None:
    assert partitions("data", [found(path)]) == []


@pytest.mark.parametrize(
    "changed",
    [
        [found("day=1/a.parquet", "other"), *DAYS[1:]],
        [found("day=1/a.parquet", size=2), *DAYS[1:]],
        [DAYS[0], found("day=1/c.parquet"), DAYS[2]],
        DAYS[1:],
        [*DAYS, found("day=1/c.parquet")],
    ],
)
def test_any_change_of_a_partitions_files_changes_its_fingerprint(changed: list[Found]) -> None:
    seen = fingerprints(partitions("data", DAYS))
    there = plan(partitions("data", changed), seen)
    assert [each.name for each in there.changed] == ["day=1"]
    assert [each.name for each in there.known] == ["day=2"]


def test_the_order_of_a_listing_changes_nothing() -> None:
    assert partitions("data", DAYS) == partitions("data", reversed(DAYS))


def test_a_plan_tells_new_from_known_and_from_gone() -> None:
    seen = fingerprints(partitions("data", DAYS[:2])) | {"day=0": "x"}
    there = plan(partitions("data", DAYS), seen)
    assert [[each.name for each in part] for part in (there.known, there.new, there.changed)] == [
        ["day=1"],
        ["day=2"],
        [],
    ]
    assert there.gone == ("day=0",)
    assert [each.name for each in there.pending] == ["day=2"]


@pytest.mark.parametrize(
    ("gained", "lost", "forgotten"), [(0, 12, True), (40, 70, True), (5, 8, False), (12, 0, False)]
)
def test_a_loss_that_chance_explains_is_no_forgetting(gained: int, lost: int, forgotten: bool) -> None:
    comparison = Comparison(
        rows=300, champion_right=280, challenger_right=280 + gained - lost, gained=gained, lost=lost
    )
    reason = forgetting.objection(comparison, 0.05)
    assert (reason is not None) == forgotten
    if reason:
        assert f"loses {lost}" in reason
        assert f"gains {gained}" in reason


def test_only_rows_that_could_come_from_a_scan_and_have_a_known_label_are_used() -> None:
    pixels = np.full((4, 64), 3.0, np.float32)
    pixels[1, 5], pixels[2, 5] = np.nan, 17
    batch = {"id": np.arange(4), "pixels": pixels, "label": np.array(["1", "1", "1", "x"])}
    assert rows._usable(batch, ("0", "1"))["id"].tolist() == [0]
    none = rows._usable(rows._usable({**batch, "label": np.array(["x"] * 4)}, ("0", "1")), ("0", "1"))
    assert pipeline._encode(none, splits.Cuts(42, ("0", "1"), (0.1, 0.1), (0.2, 0.2)))["pixels"].shape == (0, 64)


def test_what_is_replayed_is_a_share_that_another_run_draws_anew() -> None:
    batch = {"id": np.arange(4000)}
    first, second = (set(rows._sample(batch, 0.25, seed)["id"].tolist()) for seed in (1, 2))
    assert len(first) == pytest.approx(1000, rel=0.1)
    assert len(first & second) < 0.4 * len(first)
    assert rows._sample(batch, 0, 1)["id"].size == 0
    assert rows._sample(batch, 1, 1)["id"].size == 4000


def test_the_samples_days_are_all_digits_once() -> None:
    ids = np.concatenate([sample.day(number)["id"].to_numpy() for number in range(sample.DAYS)])
    assert sorted(ids) == list(range(build_table().num_rows))
    assert sample.day(0).num_rows > 4 * sample.day(1).num_rows


def test_a_row_that_is_held_out_stays_so_whatever_comes_after_it() -> None:
    cuts = splits.Cuts(42, ("0", "1"), (0.15, 0.15), (0.3, 0.3))
    ids, classes = np.arange(5000), np.arange(5000) % 2
    whole = splits.assign(ids, classes, cuts)
    assert (splits.assign(ids[:700], classes[:700], cuts) == whole[:700]).all()
    assert (whole == splits.TEST).mean() == pytest.approx(0.15, abs=0.02)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--classes=0", "two or more different labels"),
        ("--classes=a,b,a", "two or more different labels"),
        ("--dataset=../elsewhere/", "--dataset"),
        ("--replay=-1", "--replay"),
        ("--sample-days=11", "--sample-days"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(flag: str, words: str) -> None:
    with pytest.raises(PayloadError, match=words):
        parse(ContinuousSettings, "", ["--run-name=x", flag])
