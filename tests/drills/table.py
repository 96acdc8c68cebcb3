"""What the drills measured, as the table that `make drills` ends with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One figure of one drill with the bound that it must keep."""

    drill: str
    figure: str
    bound: str
    kept: bool


LINES: list[Line] = []


def note(drill: str, figure: str, bound: str, kept: bool) -> bool:
    """Put a line into the table and print it; returns `kept`, for the assertion that follows."""
    LINES.append(Line(drill, figure, bound, kept))
    print(f"  {drill}: {figure} (bound: {bound}): {_word(LINES[-1])}", flush=True)
    return kept


def rendered(lines: list[Line]) -> str:
    rows = [("drill", "figure", "bound", ""), *((each.drill, each.figure, each.bound, _word(each)) for each in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _word(line: Line) -> str:
    return "kept" if line.kept else "MISSED"
