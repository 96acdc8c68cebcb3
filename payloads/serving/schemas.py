"""What a client sends and gets, checked strictly.

Validation runs on the bytes in pydantic's compiled core: a body is parsed once, and a text that looks like a number,
a boolean, NaN or an infinity is refused rather than converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from payloads.data.digits import INTENSITY_MAX, PIXELS
from payloads.serving.http import RefusedError

Intensity = Annotated[float, Field(ge=0, le=INTENSITY_MAX, allow_inf_nan=False)]
Pixels = Annotated[
    list[Intensity],
    Field(min_length=PIXELS, max_length=PIXELS, description="an 8 x 8 image, row by row, from 0 (white) to 16 (black)"),
]


class PredictRequest(BaseModel):
    """Either `pixels` (one image) or `rows` (several); never both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # The defaults only mean "absent": a null is refused, since they are not validated.
    pixels: Pixels = Field(default=None)  # type: ignore[assignment]
    rows: Annotated[list[Pixels], Field(min_length=1)] = Field(default=None)  # type: ignore[assignment]


@dataclass(frozen=True)
class Parsed:
    """`rows` is float32 of shape (n, 64); `single` tells which form of answer is due."""

    rows: np.ndarray
    single: bool


_validate = TypeAdapter(PredictRequest).validate_json


def parse(body: bytes, max_rows: int) -> Parsed:
    """Rows of a request body. Raises RefusedError: 400 if it is not JSON, 422 if it is JSON of another form."""
    if not body:
        raise RefusedError(400, 'the body is empty: send {"pixels": [64 numbers]} as JSON')
    try:
        request = _validate(body)
    except ValidationError as error:
        raise refused(error, "pixels and rows", "pixels or rows") from None
    if (request.pixels is None) == (request.rows is None):
        raise RefusedError(422, "send either pixels (one image) or rows (several), and not both")
    if request.pixels is not None:
        return Parsed(np.array([request.pixels], dtype=np.float32), single=True)
    if len(request.rows) > max_rows:
        raise RefusedError(422, f"rows holds more than {max_rows} images: send them in several requests")
    return Parsed(np.array(request.rows, dtype=np.float32), single=False)


def request_schema(max_rows: int) -> dict[str, Any]:
    """What `parse` takes, as a JSON schema. Of its own making pydantic can say neither "one of the two" nor a limit
    that is a setting, and it would say that both may be null."""
    schema = PredictRequest.model_json_schema()
    for name in ("pixels", "rows"):
        del schema["properties"][name]["default"]
    schema["properties"]["rows"]["maxItems"] = max_rows
    return schema | {"oneOf": [{"required": ["pixels"]}, {"required": ["rows"]}]}


def refused(error: ValidationError, known: str, wanted: str) -> RefusedError:
    """The refusal of a body, with the place of the first fault and nothing of what is there.

    `known` are the keys that a body may have, `wanted` those that it must.
    """
    first: ErrorDetails = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = first["msg"].rstrip(".")
    kind = first["type"]
    if kind == "json_invalid":
        return RefusedError(400, "the body is not " + message.removeprefix("Invalid JSON: ").join(("valid JSON: ", "")))
    if kind == "extra_forbidden":  # its location is a key of the client's choosing
        return RefusedError(422, f"the body has a key other than {known}")
    if not first["loc"]:
        return RefusedError(422, f"the body is not a JSON object with {wanted}")
    return RefusedError(422, f"{_place(first)}: {message[:1].lower()}{message[1:]}")


def _place(error: ErrorDetails) -> str:
    head, *rest = error["loc"]
    return str(head) + "".join(f"[{index}]" for index in rest)
