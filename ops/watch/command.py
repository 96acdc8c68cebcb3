"""`ops watch`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from local.errors import MantaError
from ops import moments
from ops.cluster import Cluster
from ops.exits import Exit
from ops.runs.run import Run
from ops.show import Json, as_json
from ops.watch.history import sparkline
from ops.watch.nodes import spent
from ops.watch.questions import View, look

_POLL_S = 2.0
# An API server that restarts is asked again for this long.
_PATIENCE_S = 120.0


def watch(
    name: Annotated[str, typer.Argument(help="A run, or its stack.")],
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the run is.")] = "ray",
    once: Annotated[bool, typer.Option(help="Show how it stands, and end.")] = False,
    json: Json = False,
) -> None:
    """Follow one run to its end: phase, epochs with the time left, loss, nodes and cost. Exit status 1: it failed.

    Ctrl-C ends the watching, not the run.
    """
    cluster = Cluster()
    view = look(cluster, namespace, name)
    if json:
        as_json(_as_dict(view))
    elif once or view.run.over:
        typer.echo("\n".join(lines(view)))
    else:
        view = _follow(cluster, namespace, view)
    if view.run.state in ("Failed", "ValidationFailed"):
        raise typer.Exit(Exit.FOUND)


def lines(view: View) -> list[str]:
    """The view as text, one thing a line; nothing that is not known."""
    run, now = view.run, moments.now()
    told = view.history
    reason = f", {run.reason}" if run.reason else ""
    again = f", attempt {run.attempts}" if run.attempts > 1 else ""
    shown = [
        f"run       {run.name} ({run.stack})",
        f"state     {run.state}{reason}{again}, {moments.said(run.seconds(now))}",
    ]
    if told.epochs:
        left = told.left_seconds
        rest = f", {moments.said(left)} left" if left is not None and not run.over else ""
        shown.append(f"epochs    {_bar(told.done, told.total)} {told.done}/{told.total or '?'}{rest}")
        shown.append(f"loss      {sparkline([epoch.loss for epoch in told.epochs])} {told.epochs[-1].loss:.4f}")
        if told.accuracy is not None:
            shown.append(f"accuracy  {told.accuracy:.4f}")
        if told.interruptions:
            shown.append(f"survived  {told.interruptions} interruptions")
    if view.pods:
        shown.append("pods      " + ", ".join(f"{count} {phase}" for phase, count in sorted(view.pods.items())))
    for node in view.nodes:
        price = "no price" if node.hourly is None else f"{node.hourly:.3f} USD/h"
        kind = f"{node.kind} {node.capacity}".strip()
        shown.append(f"node      {node.name}: {kind}, {node.pods} pods, {price}, {moments.said(node.seconds)}")
    if view.nodes:
        shown.append(f"cost      {spent(view.nodes)}")
    shown += [f"note      {note}" for note in view.notes]
    if run.over:
        shown.append(f"result    {_result(run)}")
    return shown


def _follow(cluster: Cluster, namespace: str, view: View) -> View:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console, failing_since = Console(), None
    with Live(Text(), console=console, refresh_per_second=4, transient=True) as live:
        while not view.run.over:
            live.update(Text("\n".join(lines(view))))
            time.sleep(_POLL_S)
            try:
                view, failing_since = look(cluster, namespace, view.run.name), None
            except MantaError:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > _PATIENCE_S:
                    raise
    typer.echo("\n".join(lines(view)))
    return view


def _bar(done: int, total: int, width: int = 30) -> str:
    filled = round(width * min(1.0, done / total)) if total else 0
    return "█" * filled + "░" * (width - filled)


def _result(run: Run) -> str:
    if not run.result:
        return (
            f"none ({run.state}): `python -m ops diagnose {run.name}` says why" if run.state != "Complete" else "none"
        )
    accuracy = run.result.get("accuracy")
    first = f"accuracy {accuracy:.4f}, " if isinstance(accuracy, float) else ""
    return f"{first}{run.result.get('reason', '')}"


def _as_dict(view: View) -> dict[str, Any]:
    told = view.history
    return {
        **view.run.as_dict(moments.now()),
        "epochs": {"done": told.done, "total": told.total, "left_seconds": told.left_seconds},
        "loss": told.epochs[-1].loss if told.epochs else None,
        "accuracy": told.accuracy,
        "interruptions": told.interruptions,
        "nodes": [
            {"name": node.name, "type": node.kind, "capacity": node.capacity, "usd_an_hour": node.hourly}
            for node in view.nodes
        ],
        "notes": list(view.notes),
    }
