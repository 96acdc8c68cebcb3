"""Addresses of an environment on AWS."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.settings.base import Settings

# A subnet for each zone, large enough for what lives in it: load balancers and NAT in a public one, nodes and pods
# (each pod takes an address) in a private one.
PUBLIC_PREFIX, LEAST_PRIVATE_PREFIX = 24, 21
Zone = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")]
Endpoint = Literal["ecr.api", "ecr.dkr", "sts", "ec2", "sqs", "logs", "eks", "eks-auth", "ssm", "elasticloadbalancing"]


class NetworkSettings(Settings):
    """`natGateways: per_zone` survives a zone and costs three; `podCidr` is a second range for pods (RFC 6598)."""

    cidr: str = "10.40.0.0/16"
    zones: list[Zone] = Field(min_length=2, max_length=3)
    nat_gateways: Literal["one", "per_zone"] = "one"
    pod_cidr: str | None = None
    endpoints: list[Endpoint] = Field(default_factory=list[Endpoint])
    flow_logs: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> NetworkSettings:
        if len(set(self.zones)) != len(self.zones):
            raise ValueError("zones: one of them is named twice, and a zone of its own is what each is for")
        network = _network("cidr", self.cidr)
        if not 16 <= network.prefixlen <= 18:
            raise ValueError(
                f"cidr {self.cidr} is {'too small' if network.prefixlen > 18 else 'larger than a VPC can be'}: "
                "use a /16, /17 or /18, which holds a private subnet of 2048 addresses or more for each zone"
            )
        if not network.is_private:
            raise ValueError(f"cidr {self.cidr} is public: use a private range, as 10.40.0.0/16")
        if self.pod_cidr is not None:
            pods = _network("podCidr", self.pod_cidr)
            if pods.overlaps(network):
                raise ValueError(f"podCidr {self.pod_cidr} overlaps cidr {self.cidr}: use another range")
            if not 16 <= pods.prefixlen <= 18:
                raise ValueError(f"podCidr {self.pod_cidr}: use a /16, /17 or /18, as 100.64.0.0/16")
        return self


def _network(name: str, text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError(f"{name} {text} is no IPv4 network: write it as 10.40.0.0/16, with no bit set below") from None
