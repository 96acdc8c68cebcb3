"""A figure beside its target, as one table for every benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """A measured `value` in `unit`; `target` is the bound that it is held against, an upper one unless `at_least`."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def show(title: str, figures: list[Figure]) -> None:
    """Print `figures` with their targets and the ratio of each to its target."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for column in ("measured", "target", "ratio"):
        table.add_column(column, justify="right")
    for figure in figures:
        target = "" if figure.target is None else f"{'≥' if figure.at_least else '≤'} {figure.target:g} {figure.unit}"
        ratio = "" if not figure.target else f"{figure.value / figure.target:.2f}"
        style = "" if figure.met else "red"
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", target, ratio, style=style)
    Console(width=100).print(table)
