"""What is decided about a parcel, and by which rule: pure functions of what was found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Outcome = Literal["accepted", "review", "refused"]


class Rules(BaseModel):
    """The numbers that the rules go by. Money is in whole cents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sure: float = Field(default=0.8, ge=0, le=1, description="confidence in the zone below which a person looks")
    heaviest_kg: float = Field(default=31.5, gt=0, description="the most that is carried")
    most_value_cents: int = Field(default=500_000, ge=0, description="declared value of a client's parcels of one day")
    unknown_value_cents: int = Field(
        default=50_000, ge=0, description="the same where the client's history cannot be known"
    )
    insurance_per_mille: int = Field(default=8, ge=0, le=1000, description="of the declared value, added to the price")


@dataclass(frozen=True)
class Zone:
    """The digit that was read from the parcel, and how sure the model is."""

    number: int
    confidence: float
    model_version: str


@dataclass(frozen=True)
class History:
    """What a client had carried within a day; `known` is False where nobody could be asked in time."""

    parcels: int = 0
    value_cents: int = 0
    known: bool = True


UNKNOWN = History(known=False)


@dataclass(frozen=True)
class Decision:
    """`price_cents` is given where `outcome` is accepted. `reason` is one of a fixed set of words."""

    outcome: Outcome
    reason: str
    price_cents: int | None = None


def before_price(rules: Rules, weight_kg: float, value_cents: int, zone: Zone, history: History) -> Decision | None:
    """What can be decided without asking for a price; None if the price is needed."""
    if weight_kg > rules.heaviest_kg:
        return Decision("refused", "too_heavy")
    if zone.confidence < rules.sure:
        return Decision("review", "zone_unsure")
    if not history.known and value_cents > rules.unknown_value_cents:
        return Decision("review", "history_unknown")
    if history.value_cents + value_cents > rules.most_value_cents:
        return Decision("review", "value_of_the_day")
    return None


def with_price(rules: Rules, value_cents: int, quote_cents: int | None) -> Decision:
    """The decision by what the carrier asks for; None means that it does not serve the zone."""
    if quote_cents is None:
        return Decision("refused", "zone_not_served")
    insurance = -(-value_cents * rules.insurance_per_mille // 1000)
    return Decision("accepted", "within_the_rules", quote_cents + insurance)
