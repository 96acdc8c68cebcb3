"""What a client sends and gets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from payloads.serving import schemas
from payloads.serving.business.keys import HEADER
from payloads.serving.business.rules import Outcome
from payloads.serving.failures import RefusedError
from payloads.serving.schemas import Pixels

_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
IDEMPOTENCY = "Idempotency-Key"


class Parcel(BaseModel):
    """A parcel that somebody wants carried; its zone is the digit that is written on it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    weight_kg: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    declared_value_cents: Annotated[int, Field(ge=0, le=100_000_000)]
    pixels: Pixels


class Answer(BaseModel):
    """A decision. `price_cents` is given where the outcome is accepted. `request_id` is that of the request that
    decided: a repetition gets this same answer."""

    model_config = ConfigDict(protected_namespaces=())

    outcome: Outcome
    reason: str
    price_cents: int | None
    zone: int
    confidence: float = Field(ge=0, le=1)
    model_version: str
    history_known: bool
    request_id: str


_validate = TypeAdapter(Parcel).validate_json
_KEYS = "weight_kg, declared_value_cents and pixels"


def parse(body: bytes) -> Parcel:
    """Raises RefusedError: 400 if the body is not JSON, 422 if it is JSON of another form."""
    if not body:
        raise RefusedError(400, f"the body is empty: send {_KEYS} as JSON")
    try:
        return _validate(body)
    except ValidationError as error:
        raise schemas.refused(error, _KEYS, _KEYS) from None


def idempotency_key(headers: Mapping[str, str]) -> str:
    """The key of a request; raises RefusedError (400), as the IETF draft idempotency-key-header-07 has it."""
    key = headers.get(IDEMPOTENCY.lower())
    if key is None:
        raise RefusedError(400, f"{IDEMPOTENCY} is missing: send one of your own for each parcel", "no_idempotency_key")
    if not _KEY.fullmatch(key):
        raise RefusedError(
            400, f"{IDEMPOTENCY} is not 1 to 128 letters, digits, dots, dashes and underscores", "no_idempotency_key"
        )
    return key


def fingerprint(parcel: Parcel) -> str:
    """The same for bodies that mean the same, whatever their blanks and the order of their keys."""
    return hashlib.sha256(parcel.model_dump_json().encode()).hexdigest()


REFUSALS = {
    400: "the body is not JSON, or the request has no Idempotency-Key",
    401: "the request has no API key that is known",
    409: "another request with this Idempotency-Key is being decided",
    422: "the body is JSON of another form, or the Idempotency-Key was used for another parcel",
    429: "the client has sent more requests than its rate allows",
    503: "too many requests are waiting, or the carrier, the model or the ledger does not answer",
}
DOCUMENTATION: dict[str, Any] = {
    "security": [{"key": []}],
    "parameters": [
        {
            "name": IDEMPOTENCY,
            "in": "header",
            "required": True,
            "description": "the same key and parcel get the same answer, decided once",
            "schema": {"type": "string", "pattern": f"^{_KEY.pattern}$"},
        }
    ],
}
SECURITY = {"key": {"type": "apiKey", "in": "header", "name": HEADER}}
