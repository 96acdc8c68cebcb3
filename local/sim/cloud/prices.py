"""What an instance costs an hour: on-demand from Karpenter's price list, spot as a fixed share of it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

# AWS tells spot prices through its API alone. Here a type's price in a zone is the same share of the on-demand price
# in every run, between these two, so that what is cheapest depends on type and zone as it does there.
_CHEAPEST_SHARE, _DEAREST_SHARE = 0.30, 0.60
_BARE_METAL = "Compute Instance (bare metal)"
_OFFER_TERM = "JRTCKXETXF"  # AWS's code for on-demand


class Prices:
    """`on_demand[region][type]` in USD an hour."""

    def __init__(self, on_demand: dict[str, dict[str, float]]) -> None:
        self.on_demand = on_demand

    @staticmethod
    def read(path: Path) -> Prices:
        return Prices(parse(path.read_text()))

    def spot(self, region: str, instance_type: str, zone: str) -> float | None:
        price = self.on_demand.get(region, {}).get(instance_type)
        return None if price is None else round(price * _share(instance_type, zone), 4)

    def of(self, region: str, instance_type: str, zone: str, capacity_type: str) -> float | None:
        """USD an hour, or None for a type without a price in `region`."""
        if capacity_type == "spot":
            return self.spot(region, instance_type, zone)
        return self.on_demand.get(region, {}).get(instance_type)

    def products(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to the price list API's GetProducts: Linux by the hour, bare metal apart from the rest."""
        filters = {item["Field"]: item["Value"] for item in request.get("Filters", [])}
        metal = filters.get("productFamily") == _BARE_METAL
        sold = self.on_demand.get(filters.get("regionCode", "us-east-1"), {})
        offers = {name: price for name, price in sold.items() if (".metal" in name) == metal}
        return {"FormatVersion": "aws_v1", "PriceList": [_offer(name, price) for name, price in offers.items()]}


def parse(text: str) -> dict[str, dict[str, float]]:
    """Karpenter's generated Go file as region -> type -> USD an hour."""
    found: dict[str, dict[str, float]] = {}
    region = ""
    for line in text.splitlines():
        if opened := re.match(r'\s*"([a-z0-9-]+)": \{', line):
            region = opened.group(1)
            found[region] = {}
        elif region:
            found[region].update((name, float(price)) for name, price in re.findall(r'"([^"]+)": ([0-9.]+)', line))
    return found


@cache
def _share(instance_type: str, zone: str) -> float:
    digest = hashlib.sha256(f"{instance_type} {zone}".encode()).digest()
    return _CHEAPEST_SHARE + (_DEAREST_SHARE - _CHEAPEST_SHARE) * int.from_bytes(digest[:2]) / 0xFFFF


def _offer(name: str, price: float) -> str:
    dimension = {"pricePerUnit": {"USD": f"{price:.10f}"}, "unit": "Hrs"}
    term = {"offerTermCode": _OFFER_TERM, "priceDimensions": {f"{name}.{_OFFER_TERM}": dimension}}
    return json.dumps({"product": {"attributes": {"instanceType": name}}, "terms": {"OnDemand": {name: term}}})
