"""`python -m ops prices`: what spot machines cost lately, beside the list prices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from local.errors import MantaError
from ops.prices.table import SPOT, load

if TYPE_CHECKING:
    from ops.preflight.aws import Account


# AWS takes a list of at most a hundred in most of its questions.
_TYPES_A_QUESTION = 100


@dataclass(frozen=True)
class Change:
    """From `since` on a machine costs `usd` an hour in one zone."""

    zone: str
    since: datetime
    usd: float


def prices(
    region: Annotated[str, typer.Option(help="AWS region of the machines.")],
    percentile: Annotated[int, typer.Option(min=50, max=100, help="The share of the time in per cent.")] = 90,
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back; AWS keeps 90 days.")] = 14,
) -> None:
    """Ask AWS what spot machines cost lately and keep it in ops/prices/spot.json, for reports to count with.

    A type's price is what it cost at most during the given share of the time, over all zones. Needs credentials that
    may call ec2:DescribeSpotPriceHistory; what is kept before stays if that fails.
    """
    from ops.preflight.aws import Account

    table, now = load(), datetime.now(UTC)
    if region != table.region:
        raise MantaError(f"--region {region}: the list prices are those of {table.region}, with which these are summed")
    begin = now - timedelta(days=days)
    history = _history(Account(region), sorted(table.types), begin, now)
    found = {name: round(at_percentile(changes, begin, now, percentile), 6) for name, changes in history.items()}
    if not found:
        raise MantaError(f"AWS knows no spot price in {region} of any type in the table: is the region right?")
    head = {"date": f"{now:%Y-%m-%d}", "region": region, "percentile": percentile, "days": days}
    lines = ",\n".join(f"  {json.dumps(name)}: {usd}" for name, usd in sorted(found.items()))
    SPOT.write_text(json.dumps(head, indent=1)[:-2] + ',\n "types": {\n' + lines + "\n }\n}\n")
    typer.echo(f"{len(found)} types, the {percentile}th percentile of {days} days: {SPOT.name}")


def at_percentile(changes: Iterable[Change], begin: datetime, end: datetime, percentile: float) -> float:
    """USD an hour that was not exceeded during `percentile` per cent of the time, all zones counted alike.

    A price holds until the next one of its zone. Raises ValueError if no price held between `begin` and `end`.
    """
    held: list[tuple[float, float]] = []
    until: dict[str, datetime] = {}
    for change in sorted(changes, key=lambda change: change.since, reverse=True):
        to = min(until.get(change.zone, end), end)
        seconds = (to - max(change.since, begin)).total_seconds()
        until[change.zone] = change.since
        if seconds > 0:
            held.append((change.usd, seconds))
    if not held:
        raise ValueError("no price held in that time")
    left = percentile / 100 * sum(seconds for _, seconds in held)
    for usd, seconds in sorted(held):
        left -= seconds
        if left <= 1e-6:
            return usd
    return max(usd for usd, _ in held)


def _history(account: Account, types: list[str], begin: datetime, end: datetime) -> Mapping[str, list[Change]]:
    from botocore.exceptions import BotoCoreError, ClientError

    found: dict[str, list[Change]] = {}
    pages = account.client("ec2").get_paginator("describe_spot_price_history")
    asked: dict[str, Any] = {"ProductDescriptions": ["Linux/UNIX"], "StartTime": begin, "EndTime": end}
    try:
        for first in range(0, len(types), _TYPES_A_QUESTION):
            for page in pages.paginate(InstanceTypes=types[first : first + _TYPES_A_QUESTION], **asked):
                for entry in cast(list[dict[str, Any]], page["SpotPriceHistory"]):
                    change = Change(entry["AvailabilityZone"], entry["Timestamp"], float(entry["SpotPrice"]))
                    found.setdefault(str(entry["InstanceType"]), []).append(change)
    except (BotoCoreError, ClientError) as error:
        raise MantaError(f"AWS did not say what spot costs: {error}: mend that and ask again") from None
    return found
