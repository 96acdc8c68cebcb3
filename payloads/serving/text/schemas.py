"""What a summary is asked with and answered with, checked strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from payloads.common.settings import MODEL_PATTERN
from payloads.serving import schemas
from payloads.serving.http import RefusedError


class TextArgs(BaseModel):
    """`args` of `payloads.serving.text.app:app`; an unknown key fails the deployment with its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_name: str = Field(default="notes", pattern=MODEL_PATTERN, description="name on the storage")
    model_version: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{12}$", description="the version to serve, whatever was published last"
    )
    prefix: str = Field(default="", max_length=1000, description="put before each text; T5's own is 'summarize: '")
    max_input_tokens: int = Field(default=512, ge=1, le=100_000, description="longest text, prefix included")
    max_new_tokens: int = Field(default=64, ge=1, le=4096, description="longest summary that may be asked for")
    deadline_s: float = Field(
        default=20.0, gt=0, le=600, description="for a whole summary; then 504, or an error event"
    )
    max_body_bytes: int = Field(default=1 << 16, ge=1024, description="largest request body")


class SummariseRequest(BaseModel):
    """Without `max_new_tokens`, as long as the server allows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=1)]
    # The default only means "absent": a null is refused, since it is not validated.
    max_new_tokens: Annotated[int, Field(ge=1)] = Field(default=None)  # type: ignore[assignment]


class SummariseAnswer(BaseModel):
    """`finish` is `length` where the summary was cut off at its longest, else `stop`."""

    model_config = ConfigDict(protected_namespaces=())

    summary: str
    tokens: int = Field(description="tokens that were generated")
    finish: Literal["stop", "length"]
    model_version: str
    request_id: str


class WriterCard(BaseModel):
    """What is being served, and on what."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    parameters: int
    device: str


@dataclass(frozen=True)
class Asked:
    text: str
    max_new_tokens: int


_validate = TypeAdapter(SummariseRequest).validate_json
_KNOWN = "text and max_new_tokens"


def parse(body: bytes, most: int) -> Asked:
    """Raises RefusedError: 400 if a body is not JSON, 422 if it is JSON of another form."""
    if not body:
        raise RefusedError(400, 'the body is empty: send {"text": "..."} as JSON')
    try:
        request = _validate(body)
    except ValidationError as error:
        raise schemas.refused(error, _KNOWN, "text") from None
    if (request.max_new_tokens or 1) > most:
        raise RefusedError(422, f"max_new_tokens: it is more than {most}")
    return Asked(request.text, request.max_new_tokens or most)


def event(name: str, data: dict[str, Any]) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2); JSON has no line breaks of its own, so one data line is enough."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
