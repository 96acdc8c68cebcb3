"""`POST /predict` of the digits classifier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from payloads.serving import answers, schemas
from payloads.serving.http import JsonApi, Route
from payloads.serving.schemas import Parsed

Answer = Callable[[Parsed, str], Awaitable[bytes]]
PREDICT = "/predict"


class Api(JsonApi):
    """One hot route: images in, labels out."""

    def __init__(self, answer: Answer, max_body_bytes: int, max_rows: int, deadline_s: float, **rest: Any) -> None:
        route = Route(
            path=PREDICT,
            summary="Recognise one image or several",
            parse=partial(schemas.parse, max_rows=max_rows),
            answer=answer,
            request_schema=schemas.request_schema(max_rows),
            response_model=answers.OneAnswer | answers.ManyAnswers,
            deadline_s=deadline_s,
        )
        super().__init__([route], max_body_bytes, **rest)
