"""How a VPC's range is cut into subnets. Pure; a change of it would replace every subnet."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from infra.settings.aws_network import PUBLIC_PREFIX, NetworkSettings


@dataclass(frozen=True)
class Subnets:
    """One of each for each zone, in the settings' order; `pods` is empty without a range for them."""

    private: tuple[str, ...]
    public: tuple[str, ...]
    pods: tuple[str, ...]


def cut(settings: NetworkSettings) -> Subnets:
    """The range in four quarters: three for private subnets, the last for public ones, so that a third zone fits later
    without moving the other two."""
    quarters = list(ipaddress.IPv4Network(settings.cidr).subnets(prefixlen_diff=2))
    count = len(settings.zones)
    public = list(quarters[3].subnets(new_prefix=PUBLIC_PREFIX))[:count]
    pods = list(ipaddress.IPv4Network(settings.pod_cidr).subnets(prefixlen_diff=2))[:count] if settings.pod_cidr else []
    return Subnets(
        tuple(str(quarter) for quarter in quarters[:count]),
        tuple(str(network) for network in public),
        tuple(str(network) for network in pods),
    )
