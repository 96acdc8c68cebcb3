"""Made notes and the one right summary of each, so that an outcome can be checked.

A note has one sentence of news among others that name the same kinds of things: what matters has to be found, not
merely copied from a fixed place.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

COMPANIES = (
    "Arvid",
    "Birka",
    "Corvo",
    "Dalmar",
    "Elvira",
    "Fjord",
    "Gamla",
    "Helix",
    "Indra",
    "Jarl",
    "Kelda",
    "Lumen",
)
CITIES = ("Oslo", "Turin", "Porto", "Ghent", "Malmo", "Krakow", "Lyon", "Cork")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
MEASURES = ("sales", "profit", "costs", "orders", "wages", "output")
MOVES = ("rose", "fell")
OTHERS = (
    "{company} opened an office in {city} last {day} .",
    "The weather in {city} was mild on {day} .",
    "Visitors from {city} saw the new hall of {company} .",
    "A train to {city} was {number} minutes late on {day} .",
    "People in {city} talk of wages and costs .",
)
NEWS = "{company} said on {day} that its {measure} {move} by {number} percent in {city} ."
SUMMARY = "{measure} of {company} {move} by {number} percent"


@dataclass(frozen=True)
class Note:
    text: str
    summary: str


def note(seed: int, number: int) -> Note:
    """Note `number` of the endless series `seed`; always the same."""
    draw = random.Random(f"{seed}-{number}")  # noqa: S311  made data
    facts = _facts(draw)
    sentences = [draw.choice(OTHERS).format(**_facts(draw)) for _ in range(draw.randint(1, 3))]
    sentences.insert(draw.randint(0, len(sentences)), NEWS.format(**facts))
    return Note(" ".join(sentences), SUMMARY.format(**facts))


def notes(seed: int, first: int, count: int) -> list[Note]:
    return [note(seed, number) for number in range(first, first + count)]


def _facts(draw: random.Random) -> dict[str, str]:
    return {
        "company": draw.choice(COMPANIES),
        "city": draw.choice(CITIES),
        "day": draw.choice(DAYS),
        "measure": draw.choice(MEASURES),
        "move": draw.choice(MOVES),
        "number": str(draw.randint(2, 40)),
    }
