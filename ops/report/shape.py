"""The parts of Pulumi's JSON that are read, as Pulumi 3.259 writes them; what else it writes does not matter."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _State(_Shape):
    type: str = ""
    inputs: dict[str, Any] | None = None
    protect: bool | None = None


class _Difference(_Shape):
    kind: str | None = None
    diff_kind: str | None = Field(None, alias="diffKind")


class _Step(_Shape):
    op: str
    urn: str
    type: str = ""
    old: _State | None = None
    new: _State | None = None
    old_state: _State | None = Field(None, alias="oldState")
    new_state: _State | None = Field(None, alias="newState")
    detailed: dict[str, _Difference] | None = Field(None, alias="detailedDiff")
    reasons: list[str] | None = Field(None, alias="replaceReasons")
    keys: list[str] | None = None


class _Metadata(_Shape):
    metadata: _Step


class _Policy(_Shape):
    name: str = Field("", alias="policyName")
    message: str = ""
    level: str = Field("", alias="enforcementLevel")
    severity: str | None = None
    urn: str | None = Field(None, alias="resourceUrn")


class _Diagnostic(_Shape):
    severity: str = ""
    message: str = ""


class _Event(_Shape):
    sequence: int
    pre: _Metadata | None = Field(None, alias="resourcePreEvent")
    outputs: _Metadata | None = Field(None, alias="resOutputsEvent")
    policy: _Policy | None = Field(None, alias="policyEvent")
    diagnostic: _Diagnostic | None = Field(None, alias="diagnosticEvent")


class _Digest(_Shape):
    steps: list[_Step] | None = None
    diagnostics: list[_Diagnostic] | None = None


def is_event(value: Any) -> bool:
    return _fits(_Event, value)


def is_digest(value: Any) -> bool:
    return _fits(_Digest, value)


def _fits(shape: type[BaseModel], value: Any) -> bool:
    try:
        shape.model_validate(value)
    except ValidationError:
        return False
    return True
