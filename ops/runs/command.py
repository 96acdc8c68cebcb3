"""`ops runs`: list, compare, start, stop, resume and clean."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from itertools import pairwise
from typing import Annotated, Any

import typer

from local.errors import MantaError
from ops import moments
from ops.cluster import RAY_NAMESPACE, Cluster
from ops.exits import Exit
from ops.runs import stacks
from ops.runs.run import Run, from_job
from ops.runs.start import start
from ops.show import Json, as_json, table

app = typer.Typer(no_args_is_help=True, help="Training runs: which there are, stop one, and clean up after them.")
app.command()(start)
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Where the runs are.")]


@app.command(name="list")
def show(namespace: Namespace = RAY_NAMESPACE, json: Json = False) -> None:
    """List the runs in the cluster, the newest first."""
    runs, now = [run for run in _runs(Cluster(), namespace) if not run.template], moments.now()
    if json:
        as_json([run.as_dict(now) for run in runs])
        return
    rows = [
        (
            run.name,
            run.stack,
            _state(run),
            moments.said(run.seconds(now)),
            str(run.attempts),
            f"{run.gpus:g}",
            _said(run),
        )
        for run in runs
    ]
    table(("run", "stack", "state", "took", "attempts", "GPUs", "result"), rows)


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(help="Runs, or their stacks.")],
    namespace: Namespace = RAY_NAMESPACE,
    json: Json = False,
) -> None:
    """Show runs side by side: what they were given, where they differ, and what came of them."""
    cluster = Cluster()
    jobs = {name: _one(cluster, namespace, name) for name in names}
    now = moments.now()
    columns: dict[str, dict[str, Any]] = {}
    for name, job in jobs.items():
        run = from_job(job)
        facts = {"state": _state(run), "took": moments.said(run.seconds(now)), "GPUs": f"{run.gpus:g}"}
        columns[name] = {**facts, **_flags(str(job["spec"].get("entrypoint", ""))), **run.result}
    if json:
        as_json(columns)
        return
    keys = dict.fromkeys(key for column in columns.values() for key in column)
    rows = [(key, *(str(column.get(key, "")) for column in columns.values())) for key in keys]
    differing = [row for row in rows if len(set(row[1:])) > 1]
    table(("", *columns), differing or rows)


@app.command()
def stop(
    name: Annotated[str, typer.Argument(help="A run, or its stack.")], namespace: Namespace = RAY_NAMESPACE
) -> None:
    """Stop a run and give its machines back; its checkpoints stay, and `resume` goes on from them."""
    cluster = Cluster()
    run = from_job(_one(cluster, namespace, name))
    if run.over:
        raise MantaError(f"run {run.name} has ended ({run.state}): there is nothing to stop")
    cluster.change("rayjobs", namespace, run.name, {"spec": {"suspend": True}})
    typer.echo(f"run {run.name} stops; `python -m ops runs resume {run.name}` goes on from its last checkpoint")


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="A run that was stopped, or its stack.")],
    namespace: Namespace = RAY_NAMESPACE,
) -> None:
    """Go on with a run that was stopped."""
    cluster = Cluster()
    run = from_job(_one(cluster, namespace, name))
    if run.state not in ("Suspended", "Suspending"):
        raise MantaError(f"run {run.name} was not stopped ({run.state}): there is nothing to resume")
    cluster.change("rayjobs", namespace, run.name, {"spec": {"suspend": False}})
    typer.echo(f"run {run.name} goes on; `python -m ops watch {run.name}` follows it")


@app.command()
def clean(
    older_than: Annotated[str, typer.Option(help="How long ago a run must have ended, as 36h or 7d.")] = "7d",
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only named.")] = False,
    by_update: Annotated[bool, typer.Option(help="Go by the stacks' last updates alone, and ask no cluster.")] = False,
    namespace: Namespace = RAY_NAMESPACE,
    json: Json = False,
) -> None:
    """Remove the stacks of named runs that ended long ago. Exit status 1: there are some, and nothing was removed.

    Never those of a run that goes on, nor an environment's standing run. Models and checkpoints stay. With --by-update
    a run counts as over when its update is, so ask for more time than a run can take.
    """
    limit = moments.length(older_than)
    runs = [] if by_update else _runs(Cluster(), namespace)
    found = stacks.forgotten(stacks.listed(), runs, limit, moments.now())
    if by_update:
        found = [each for each in found if "schedule" not in stacks.outputs(each.stack)]
    if json:
        as_json([asdict(each) for each in found])
    elif not found:
        typer.echo(f"no stack of a run is older than {older_than}")
    for each in found:
        if yes:
            stacks.remove(each.stack)
        if not json:
            typer.echo(f"{'removed' if yes else 'would remove'} {each.stack}: {each.why}")
    if found and not yes:
        raise typer.Exit(Exit.FOUND)


def _runs(cluster: Cluster, namespace: str) -> list[Run]:
    found = [from_job(job) for job in cluster.list("rayjobs", namespace)]
    return sorted(found, key=lambda run: run.started.timestamp() if run.started else 0.0, reverse=True)


def _one(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    jobs = cluster.list("rayjobs", namespace)
    for job in reversed(jobs):
        run = from_job(job)
        if run.template and name == run.name:
            raise MantaError(
                f"{name} is no run but what the schedule of {run.stack} makes its runs of: `python -m ops runs list` "
                "shows those, and manta:schedule.suspend holds the schedule"
            )
        if not run.template and name in (run.name, run.stack, job["metadata"]["name"]):
            return job
    known = ", ".join(sorted(job["metadata"]["name"] for job in jobs if not from_job(job).template)) or "none"
    raise MantaError(f"there is no run {name} in namespace {namespace}: there are {known}")


def _state(run: Run) -> str:
    return f"{run.state} ({run.reason})" if run.reason and run.state in ("Failed", "ValidationFailed") else run.state


def _said(run: Run) -> str:
    accuracy = run.result.get("accuracy")
    words = f"accuracy {accuracy:.4f}" if isinstance(accuracy, float) else ""
    if run.result.get("registered"):
        words += f", version {run.result.get('version')}"
    return words


def _flags(entrypoint: str) -> dict[str, str]:
    """`--lr 0.01` of an entrypoint, by name."""
    return {word[2:]: after for word, after in pairwise(shlex.split(entrypoint)) if word.startswith("--")}
