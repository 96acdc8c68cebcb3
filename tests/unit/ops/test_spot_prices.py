"""What spot machines cost lately: the percentile, what AWS is asked, and what a report makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from local.errors import MantaError
from ops.__main__ import app
from ops.prices import spot, table
from ops.prices.spot import Change, at_percentile
from ops.report.costs import bill
from ops.report.preview import Resource

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = BEGIN + timedelta(hours=100)


def change(hour: float, usd: float, zone: str = "a") -> Change:
    return Change(zone, BEGIN + timedelta(hours=hour), usd)


@pytest.mark.parametrize(
    ("changes", "percentile", "usd"),
    [
        ([change(-5, 1.0)], 90, 1.0),
        # Dear for the last 5 of 100 hours, or for the last 20.
        ([change(-5, 1.0), change(95, 3.0)], 90, 1.0),
        ([change(-5, 1.0), change(80, 3.0)], 90, 3.0),
        ([change(-5, 1.0), change(80, 3.0)], 80, 1.0),
        # The other zone is dear all the time: half of the time of both.
        ([change(-5, 1.0), change(-5, 2.0, "b")], 50, 1.0),
        ([change(-5, 1.0), change(-5, 2.0, "b")], 90, 2.0),
        # What held at the beginning counts from there on, and what was over by then does not count.
        ([change(-50, 9.0), change(-5, 1.0), change(150, 7.0)], 100, 1.0),
    ],
)
def test_a_price_counts_as_long_as_it_held(changes: list[Change], percentile: int, usd: float) -> None:
    assert at_percentile(changes, BEGIN, END, percentile) == usd


def test_no_price_is_no_number() -> None:
    with pytest.raises(ValueError, match="no price"):
        at_percentile([change(200, 1.0)], BEGIN, END, 90)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that is kept, elsewhere."""
    path = tmp_path / "spot.json"
    for module in (spot, table):
        monkeypatch.setattr(module, "SPOT", path)
    table.load.cache_clear()
    yield path
    table.load.cache_clear()


def nodes(capacity: str) -> Resource:
    scaling = {"minSize": 1, "maxSize": 4}
    inputs = {"instanceTypes": ["g5.xlarge"], "capacityType": capacity, "scalingConfig": scaling}
    return Resource("urn:pulumi:p::m::aws:eks/nodeGroup:NodeGroup::gpu", "aws:eks/nodeGroup:NodeGroup", inputs)


def test_a_report_counts_spot_at_the_percentile_that_is_kept(kept: Path) -> None:
    hourly = table.load().types["g5.xlarge"].hourly
    (before,) = bill([nodes("SPOT")], table.load()).costs
    assert (before.high, before.note) == (pytest.approx(4 * hourly), "at on-demand prices, spot costs less")

    head = {"date": "2026-11-21", "region": "us-east-1", "percentile": 90, "days": 14}
    kept.write_text(json.dumps({**head, "types": {"g5.xlarge": 0.5}}))
    table.load.cache_clear()
    (after,) = bill([nodes("SPOT")], table.load()).costs
    assert (after.low, after.high) == (0.5, 2.0)
    assert after.note == "spot at the 90th percentile of 14 days to 2026-11-21"
    assert "spot: 90th percentile of 14 days to 2026-11-21" in table.load().about
    (on_demand,) = bill([nodes("ON_DEMAND")], table.load()).costs
    assert on_demand.high == pytest.approx(4 * hourly)


def test_aws_is_asked_and_what_it_says_is_kept(moto: None, kept: Path) -> None:
    asked = CliRunner().invoke(app, ["prices", "--region", "us-east-1", "--days", "7"])
    assert asked.exit_code == 0, asked.exception
    written = json.loads(kept.read_text())
    assert (written["percentile"], written["days"], written["region"]) == (90, 7, "us-east-1")
    assert written["types"]["g5.xlarge"] == 0.00001
    assert f"{len(written['types'])} types" in asked.stdout


def test_without_an_answer_what_is_kept_stays(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write_text(json.dumps({"date": "d", "region": "r", "percentile": 90, "days": 1, "types": {}}))
    before = kept.read_text()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    refused = CliRunner().invoke(app, ["prices", "--region", "us-east-1"])
    assert isinstance(refused.exception, MantaError)
    assert "AWS did not say what spot costs" in str(refused.exception)
    assert kept.read_text() == before
    other = CliRunner().invoke(app, ["prices", "--region", "eu-west-1"])
    assert "the list prices are those of us-east-1" in str(other.exception)
