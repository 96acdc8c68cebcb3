"""Arguments of the decision service, as `serveConfigV2` hands them over."""

from __future__ import annotations

import limits
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from payloads.serving.business.rules import Rules
from payloads.serving.settings import MemberArgs


class CarrierArgs(BaseModel):
    """The carrier's price service, and how much of a request it may use up.

    An attempt takes at most `timeout_s`, all attempts and waits together `deadline_s`. After `failures` in a row no
    request is sent for `open_s`; then one is, and its end decides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(default="http://127.0.0.1:8000/carrier", pattern=r"^https?://[^\s/]+(/.*)?$")
    timeout_s: float = Field(default=0.5, gt=0, le=30)
    deadline_s: float = Field(default=1.5, gt=0, le=60)
    attempts: int = Field(default=3, ge=1, le=10)
    failures: int = Field(default=5, ge=1, le=1000)
    open_s: float = Field(default=10.0, gt=0, le=3600)


class LedgerArgs(BaseModel):
    """Where decisions are kept: the SQLite file at `path`, or the database that MANTA_BUSINESS_DATABASE names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(default="/tmp/manta/decisions.sqlite", min_length=1)  # noqa: S108  a pod's own, see the page
    busy_s: float = Field(default=2.0, gt=0, le=60, description="how long a database that is locked is waited for")
    lease_s: float = Field(
        default=30.0, gt=0, le=3600, description="after this a request that neither ended nor gave up is taken over"
    )
    rate: str = Field(default="120/minute", description="requests of one client, as the limits library writes them")

    @field_validator("rate")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        try:
            limits.parse(value)
        except ValueError:
            raise ValueError("is no rate: write one as 120/minute") from None
        return value


class BusinessArgs(BaseModel):
    """`args` of `payloads.serving.business.app:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reader: MemberArgs = Field(
        default=MemberArgs(name="reader", model_name="digits"), description="the model that reads the zone"
    )
    carrier: CarrierArgs = CarrierArgs()
    ledger: LedgerArgs = LedgerArgs()
    rules: Rules = Rules()
    history_timeout_s: float = Field(
        default=0.1, gt=0, le=10, description="after this a client's history counts as unknown"
    )
    deadline_s: float = Field(default=5.0, gt=0, le=60, description="for a whole request")
    max_body_bytes: int = Field(default=1 << 14, ge=1024, description="largest request body")

    @model_validator(mode="after")
    def _claims_outlast_requests(self) -> BusinessArgs:
        """One that is taken over while its holder still decides would be decided twice."""
        if self.ledger.lease_s <= self.deadline_s:
            raise ValueError(f"ledger.lease_s {self.ledger.lease_s:g} is not more than deadline_s {self.deadline_s:g}")
        return self
