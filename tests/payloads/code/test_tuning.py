"""What a search may be told, and where it looks."""

from __future__ import annotations

import random

import pytest
from ray.tune.schedulers.pbt import _explore

from payloads.common.cli import parse
from payloads.common.errors import PayloadError
from payloads.tuning import space
from payloads.tuning.settings import TuneSettings


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--grace=6", "--epochs=5"], "no trial could be stopped"),
        (["--search=pbt", "--samples=1"], "two members or more"),
        (["--search=pbt", "--perturb-every=5", "--epochs=5"], "nothing is taken over"),
        (["--search=grid"], "--search"),
        (["--quantile=0.6"], "--quantile"),
    ],
)
def test_a_search_that_could_not_do_what_it_is_for_is_refused(flags: list[str], words: str):
    with pytest.raises(PayloadError, match=words):
        parse(TuneSettings, "", ["--run-name=a", *flags])


def test_what_members_change_stays_in_its_range_however_often_they_do():
    random.seed(0)
    config = dict(space.KNOWN_GOOD)
    seen = []
    for _ in range(200):
        config, _ = _explore(config, space.mutations(), 0.0, (1.2,), space.bounded)
        seen.append(config)
    for name, (low, high) in {"lr": space.LR, "dropout": space.DROPOUT}.items():
        assert all(low <= each[name] <= high for each in seen)
        assert len({each[name] for each in seen}) > 1
        assert seen[-1][name] == high
    assert {name: config[name] for name in ("hidden", "batch_size")} == {"hidden": 256, "batch_size": 128}


def test_the_known_good_point_lies_in_the_space():
    assert set(space.KNOWN_GOOD) == set(space.space()) == set(space.population())
    for name, (low, high) in {"lr": space.LR, "dropout": space.DROPOUT}.items():
        assert low <= space.KNOWN_GOOD[name] <= high
    assert space.KNOWN_GOOD["batch_size"] in space.BATCH_SIZES
    assert space.KNOWN_GOOD["hidden"] in space.WIDTHS
