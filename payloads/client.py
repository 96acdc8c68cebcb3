"""A client of the digits endpoints: typed answers, one deadline for all attempts, and no retry that could do harm.

It needs httpx and pydantic, and none of Ray: `Digits("http://127.0.0.1:8000").predict(pixels).label`.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from payloads.serving.answers import ManyAnswers, ModelCard, OneAnswer

Answer = TypeVar("Answer", bound=BaseModel)
# What a replica that is full, leaves or starts answers, and what a proxy answers in its stead.
_PASSING = frozenset({429, 502, 503, 504})
# Waits are drawn below a bound that doubles, so that clients which were refused together do not come back together
# ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter).
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 2.0


class RequestError(Exception):
    """The server refused the request, and would again: `status` says which way; `request_id` is in the server's log."""

    def __init__(self, status: int, sentence: str, request_id: str) -> None:
        super().__init__(f"{sentence} (status {status}, request {request_id})")
        self.status = status
        self.request_id = request_id


class UnavailableError(Exception):
    """There was no answer before the deadline; the last attempt's reason is in the text."""


class Digits:
    """The endpoint at `url`. Each call ends within `deadline_s` seconds, attempts and waits together.

    Asking a model changes nothing, so an attempt that failed on its way is made again, under the same request id. A
    Digits may be shared by threads, and is closed by `close` or the end of its `with` block.
    """

    def __init__(self, url: str, deadline_s: float = 5.0) -> None:
        if deadline_s <= 0:
            raise ValueError(f"deadline_s is {deadline_s}: give a number of seconds above 0")
        self.url = url.rstrip("/")
        self.deadline_s = deadline_s
        self._http = httpx.Client(base_url=self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def predict(self, pixels: Sequence[float]) -> OneAnswer:
        """The digit on one image, 64 intensities from 0 to 16; raises RequestError, UnavailableError."""
        return self._ask("POST", "/predict", {"pixels": list(pixels)}, OneAnswer)

    def predict_many(self, rows: Sequence[Sequence[float]]) -> ManyAnswers:
        """The digits on several images, in their order; raises RequestError, UnavailableError."""
        return self._ask("POST", "/predict", {"rows": [list(row) for row in rows]}, ManyAnswers)

    def model(self) -> ModelCard:
        """What is being served; raises RequestError, UnavailableError."""
        return self._ask("GET", "/model", None, ModelCard)

    def _ask(self, method: str, path: str, body: object, form: type[Answer]) -> Answer:
        request_id, deadline = uuid.uuid4().hex, time.monotonic() + self.deadline_s
        bound, reason = _FIRST_WAIT_S, "nothing was sent"
        while (left := deadline - time.monotonic()) > 0:
            least = 0.0
            try:
                answer = self._http.request(
                    method, path, json=body, timeout=left, headers={"x-request-id": request_id}
                )  # fmt: skip
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            else:
                if answer.status_code not in _PASSING:
                    return self._read(answer, request_id, form)
                reason, least = f"status {answer.status_code}", _retry_after(answer)
            wait = max(least, random.uniform(0, bound))  # noqa: S311  spreads clients, guards nothing
            if time.monotonic() + wait >= deadline:
                break
            time.sleep(wait)
            bound = min(2 * bound, _LONGEST_WAIT_S)
        raise UnavailableError(
            f"{self.url}{path} gave no answer within {self.deadline_s:g} s: {reason} (request {request_id})"
        )

    def _read(self, answer: httpx.Response, request_id: str, form: type[Answer]) -> Answer:
        if answer.is_success:
            try:
                return form.model_validate_json(answer.content)
            except ValidationError:
                sentence = f"the answer is no {form.__name__}: is {self.url} an endpoint of digits?"
                raise RequestError(answer.status_code, sentence, request_id) from None
        try:
            sentence = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            sentence = "the server refused the request and said nothing that can be read"
        raise RequestError(answer.status_code, sentence, request_id)


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asked for; 0 where it names none, or a date."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else 0.0
