"""What a person needs after `make up` and from `make status`: what was trained, where it answers, how to log in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from local.settings import Ports
from local.up.digit import Answer, Digit, curl

# Printed instead of the token itself: what is shown ends up in CI logs and in other people's terminals.
HOW_TO_LOG_IN = "`make token` prints the token"


@dataclass(frozen=True)
class Summary:
    """Facts read back from the stacks and the model server, never what was hoped for."""

    accuracy: float | None
    model_version: str | None
    registered: bool
    reason: str | None
    endpoint: str
    digit: Digit
    answer: Answer | None
    ports: Ports
    # Commands that bring the services of a cluster which is not ours to these addresses; empty for our own.
    forwards: tuple[str, ...] = ()

    @staticmethod
    def from_result(result: Mapping[str, Any] | None, **rest: Any) -> Summary:
        """Take the training run's exported result (absent when the run did not wait for its end)."""
        result = result or {}
        accuracy = result.get("accuracy")
        version = result.get("version")
        return Summary(
            accuracy=None if accuracy is None else float(accuracy),
            model_version=None if version is None else str(version),
            registered=bool(result.get("registered", False)),
            reason=result.get("reason"),
            **rest,
        )


def show(console: Console, summary: Summary, next_command: str) -> None:
    """Print the closing table and, apart from it so that it can be copied whole, the example request."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(summary):
        table.add_row(name, value)
    console.print()
    console.print(table)
    console.print()
    if summary.forwards:
        console.print("Your cluster is not published on this machine; each of these brings one of the addresses here:")
        for command in summary.forwards:
            console.print(command, markup=False, highlight=False, soft_wrap=True)
        console.print()
    console.print("Ask it yourself:", style="bold")
    console.print(curl(summary.endpoint, summary.digit), markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(f"Next: {next_command}", markup=False, highlight=False, soft_wrap=True)


def _rows(summary: Summary) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if summary.accuracy is not None:
        rows.append(("accuracy", f"{summary.accuracy:.1%} on images the model has never seen"))
    if summary.model_version is not None:
        rows.append(("model", f"digits version {summary.model_version}" + (", champion" if summary.registered else "")))
    if not summary.registered and summary.reason:
        rows.append(("not registered", summary.reason))
    rows.append(("endpoint", f"{summary.endpoint}/predict"))
    if summary.answer:
        answer = summary.answer
        verdict = "right" if answer.label == summary.digit.label else f"wrong, it is a {summary.digit.label}"
        rows.append(
            (
                "prediction",
                f"a handwritten {summary.digit.label}: the model (version {answer.model_version}) answers "
                f"{answer.label} with confidence {answer.confidence:.1%} ({verdict})",
            )
        )
    ports = summary.ports
    rows.append(("MLflow", f"http://127.0.0.1:{ports.mlflow} (no login; reachable from this machine alone)"))
    rows.append(("Ray dashboard", f"http://127.0.0.1:{ports.dashboard} ({HOW_TO_LOG_IN})"))
    rows.append(("S3", f"http://127.0.0.1:{ports.s3} (keys in Secret s3-credentials)"))
    return rows
