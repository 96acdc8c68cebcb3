"""`ops preflight`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ops.exits import Exit
from ops.show import Json, as_json, table

_SIGNS = {"ok": "✓", "warning": "!", "failed": "✗", "unknown": "?"}


def preflight(
    stack: Annotated[str, typer.Argument(help="The stack to bring up.")],
    folder: Annotated[Path, typer.Option("--stacks", help="Where its file is.")] = Path("stacks"),
    strict: Annotated[bool, typer.Option(help="A question without an answer is a failure too.")] = False,
    json: Json = False,
) -> None:
    """Ask what would make `pulumi up` fail half-way. Exit status 1: something would.

    Changes nothing. With AWS_ENDPOINT_URL a simulated AWS is asked.
    """
    from ops.preflight import capacity, charts, cuda, stackfile, tools  # with all settings that there are

    wanted = stackfile.read(folder, stack)
    outcomes = list(tools.check(wanted.on_aws))
    if wanted.on_aws:
        from ops.preflight import aws  # boto3 costs half a second, which only this needs

        outcomes += list(aws.check(wanted, aws.Account(wanted.region)))
    outcomes += [*cuda.check(wanted), *charts.check(wanted.charts)]
    if (settings := stackfile.settings(folder, stack)) is not None:
        from ops.preflight import kuberay  # imports what a program does, which takes a second

        outcomes += [*kuberay.check(stack, settings, folder.parent), *capacity.check(settings)]
    if json:
        as_json([asdict(outcome) for outcome in outcomes])
    else:
        table(("", "check", "found"), [(_SIGNS[each.status], each.check, each.says) for each in outcomes])
        counts = Counter(outcome.status for outcome in outcomes)
        typer.echo(", ".join(f"{count} {status}" for status, count in counts.items()))
    bad = {"failed", "unknown"} if strict else {"failed"}
    if any(outcome.status in bad for outcome in outcomes):
        raise typer.Exit(Exit.FOUND)
