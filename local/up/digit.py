"""One real handwritten digit, and what the served model says of it."""

from __future__ import annotations

import gzip
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from local.errors import MantaError

# The last of scikit-learn's 1,797 bundled digits; any of them would do.
_INDEX = 1796
_REQUEST_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Digit:
    """An 8x8 image as 64 intensities from 0 to 16, row by row, and the digit that a person wrote."""

    pixels: tuple[int, ...]
    label: int


@dataclass(frozen=True)
class Answer:
    label: int
    confidence: float
    model_version: str


def real_digit() -> Digit:
    """The digit used in the summary's example request."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise MantaError("scikit-learn, whose digits are asked about, is not installed: run `make up` again")
    # The file itself, a line per image: importing scikit-learn takes seconds, on every `make up`.
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt") as lines:
        *pixels, label = (int(float(value)) for value in next(islice(lines, _INDEX, None)).split(","))
    return Digit(pixels=tuple(pixels), label=label)


def request_body(digit: Digit) -> str:
    return json.dumps({"pixels": list(digit.pixels)}, separators=(",", ":"))


def curl(endpoint: str, digit: Digit) -> str:
    """A command to paste into a shell that asks the model for `digit`."""
    return f"curl -s {endpoint}/predict -H 'content-type: application/json' -d '{request_body(digit)}'"


def ask(endpoint: str, digit: Digit, patience_s: float = 30.0) -> Answer:
    """The model's answer, retried for `patience_s` seconds while nothing answers yet; raises MantaError after that."""
    request = urllib.request.Request(  # noqa: S310 - the endpoint is this machine's loopback address
        f"{endpoint}/predict", request_body(digit).encode(), {"content-type": "application/json"}
    )
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(request, timeout=_REQUEST_TIMEOUT_S) as response:  # noqa: S310
                return _answer(json.load(response))
        except (OSError, urllib.error.URLError) as error:
            if time.monotonic() > deadline:
                raise MantaError(
                    f"the model server does not answer at {endpoint}/predict ({error}): see `make status` and the "
                    "log of the Serve controller in the Ray dashboard"
                ) from None
            time.sleep(0.5)


def _answer(body: dict[str, Any]) -> Answer:
    return Answer(int(body["label"]), float(body["confidence"]), str(body["model_version"]))
