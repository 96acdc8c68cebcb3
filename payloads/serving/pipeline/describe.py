"""What was found, in words and as the answer's fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from payloads.vision.scenes import CLASSES, POINTS

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


@dataclass(frozen=True)
class Found:
    """What the detector says: `places` float32 [n, 4], `scores` float32 [n]; `shape` is the image's (height, width)."""

    places: np.ndarray
    scores: np.ndarray
    shape: tuple[int, int]
    version: str


@dataclass(frozen=True)
class Read:
    """What the reader says of each: `probabilities` float32 [n, 10], `points` float32 [n, 5, 2] in the image."""

    probabilities: np.ndarray
    points: np.ndarray
    version: str


class Digit(BaseModel):
    """One digit; places are pixels of the image, x to the right and y downwards."""

    label: str
    confidence: float = Field(ge=0, le=1, description="probability that the reader gives to the label")
    score: float = Field(ge=0, le=1, description="how sure the detector is that there is a digit")
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1")
    points: dict[str, tuple[float, float]] = Field(description=f"x and y of {', '.join(POINTS)}")


class PipelineAnswer(BaseModel):
    """`digits` in reading order. `models` are the versions that answered."""

    model_config = ConfigDict(protected_namespaces=())

    description: str
    width: int
    height: int
    digits: list[Digit]
    models: dict[str, str]
    request_id: str


def describe(found: Found, read: Read, request_id: str) -> PipelineAnswer:
    """The answer to one request: row by row in thirds of the image, and in a row from left to right."""
    height, width = found.shape
    labels = read.probabilities.argmax(axis=1)
    thirds = [_thirds(place, found.shape) for place in found.places]
    order = sorted(range(len(labels)), key=lambda index: (thirds[index][0], float(found.places[index, 0])))
    digits = [
        Digit(
            label=CLASSES[labels[index]],
            confidence=round(min(float(read.probabilities[index].max()), 1.0), 6),
            score=round(min(float(found.scores[index]), 1.0), 6),
            box=tuple(_rounded(found.places[index])),  # type: ignore[arg-type]
            points={
                name: tuple(_rounded(point))  # type: ignore[misc]
                for name, point in zip(POINTS, read.points[index], strict=True)
            },
        )
        for index in order
    ]
    return PipelineAnswer(
        description=sentence([(digit.label, thirds[index]) for digit, index in zip(digits, order, strict=True)]),
        width=width,
        height=height,
        digits=digits,
        models={"detector": found.version, "reader": read.version},
        request_id=request_id,
    )


def sentence(digits: list[tuple[str, tuple[int, int]]]) -> str:
    """`two digits: 4 at upper left, 7 at lower right`, from labels and their (row, column) among thirds."""
    count = _NUMBERS[len(digits)] if len(digits) < len(_NUMBERS) else str(len(digits))
    if not digits:
        return "no digits"
    parts = [f"{label} at {place_name(*third)}" for label, third in digits]
    return f"{count} digit{'' if len(digits) == 1 else 's'}: {', '.join(parts)}"


def place_name(row: int, column: int) -> str:
    """`upper left`, `lower centre`, `centre` ..."""
    if row == 1:
        return "centre" if column == 1 else f"centre {_COLUMNS[column]}"
    return f"{_ROWS[row]} {_COLUMNS[column]}"


def _thirds(place: np.ndarray, shape: tuple[int, int]) -> tuple[int, int]:
    height, width = shape
    x, y = float(place[0] + place[2]) / 2, float(place[1] + place[3]) / 2
    return min(int(3 * y / height), 2), min(int(3 * x / width), 2)


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values]
