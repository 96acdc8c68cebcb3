"""A stack's update as a workflow runs it: what was planned and nothing else, and help when it cannot."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError
from ops.exits import Exit

_LOCKED = re.compile(r"currently locked by \d+ lock")
_OFF_PLAN = re.compile(r"not allowed by the plan|violates plan|but no steps were expected")


def deploy(
    stack: Annotated[str, typer.Argument(help="The stack to update.")],
    plan: Annotated[Path | None, typer.Option(help="What was reviewed, from `ops preview --plan`.")] = None,
) -> None:
    """Update a stack without asking. Exit status 1: the update failed; its last lines say why.

    With PLAN the engine does what was planned, and stops at the first step that was not. Ctrl-C lets the steps that
    run end first.
    """
    if status := update(stack, plan):
        raise typer.Exit(status)


def update(stack: str, plan: Path | None = None) -> int:
    """`deploy` as a function: its exit status."""
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack]
    if plan is not None:
        if not plan.exists():
            raise MantaError(f"{plan} does not exist: `python -m ops preview {stack} --plan --out DIR` makes it")
        _check(plan, stack)
        command += ["--plan", str(plan.resolve())]
    status, output = _run(command)
    if status:
        typer.echo(f"error: {explain(stack, output)}", err=True)
        return Exit.FOUND
    return Exit.OK


def explain(stack: str, output: str) -> str:
    """One sentence on why an update of `stack` that said `output` failed, and what to do."""
    if _LOCKED.search(output):
        return (
            f"stack {stack} is locked by an update that runs or was killed: look that none runs (the workflow's other "
            f"runs, and whoever may deploy by hand), then `pulumi cancel -s {stack}` and start again"
        )
    if _OFF_PLAN.search(output):
        return (
            f"stack {stack} is not as it was when the plan was made, and the update stopped before what nobody had "
            "seen: run the workflow again for a plan of today"
        )
    return (
        f"the update of {stack} failed: the lines above are the engine's; what was done stays, so mend it and run again"
    )


def _check(plan: Path, stack: str) -> None:
    try:
        whole = "resourcePlans" in json.loads(plan.read_text())
    except (OSError, ValueError, TypeError):
        whole = False
    if not whole:
        raise MantaError(f"{plan} is no plan of Pulumi: `python -m ops preview {stack} --plan --out DIR` makes one")


def _run(command: list[str]) -> tuple[int, str]:
    """The command's status and all that it said, which is shown as it comes."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
    except FileNotFoundError:
        raise MantaError('pulumi is not on PATH: run `eval "$(make -s env)"` first, or install it') from None
    lines: list[str] = []
    while True:
        try:
            for line in process.stdout or ():
                lines.append(line)
                typer.echo(line, nl=False)
            return process.wait(), "".join(lines)
        except KeyboardInterrupt:
            # The engine was interrupted too, and ends by itself after the steps that run: killed, it leaves its lock.
            typer.echo("interrupted: the steps that run are let end", err=True)
