"""Load balancers in front of model servers."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, model_validator

from infra.settings.base import Settings


class IngressSettings(Settings):
    """`scheme: internal` is reached from the VPC and from what it is joined to. `allowFrom` are the networks that may
    connect; without any, the VPC itself. `charts`: the official Helm repository, or a folder with the chart
    `aws-load-balancer-controller`."""

    scheme: Literal["internal", "internet-facing"] = "internal"
    allow_from: list[str] = Field(default_factory=list[str])
    charts: str = "https://aws.github.io/eks-charts"
    replicas: Annotated[int, Field(ge=1, le=3)] = 2

    @model_validator(mode="after")
    def _is_an_allow_list(self) -> IngressSettings:
        for text in self.allow_from:
            try:
                network = ipaddress.IPv4Network(text)
            except ValueError:
                raise ValueError(f"allowFrom: {text} is no IPv4 network: write it as 203.0.113.0/24") from None
            if network.prefixlen == 0:
                raise ValueError(
                    "allowFrom: 0.0.0.0/0 is everybody, and a model server asks nobody who he is: list networks, and "
                    "put what authenticates in front of it"
                )
        if self.scheme == "internet-facing" and not self.allow_from:
            raise ValueError("scheme internet-facing needs allowFrom: list the networks that may connect")
        return self
