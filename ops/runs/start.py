"""`ops runs start`: a run of its own from the environment's standing one, as a workflow or a person starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from infra.stack import ENVIRONMENTS
from local.errors import MantaError
from local.up.runs import stack_name, write_stack_file
from ops import deploy
from ops.runs import stacks

Secrets = Annotated[
    str, typer.Option("--secrets-provider", help="For a new stack, as awskms:///<key-arn>; default: the backend's own.")
]


def start(
    environment: Annotated[str, typer.Argument(help="dev or prod, as in train-<environment>.")],
    run: Annotated[str, typer.Argument(help="A name for the run.")],
    arguments: Annotated[str, typer.Option(help="Parameters, as 'lr=0.01 epochs=30'.")] = "",
    secrets_provider: Secrets = "",
    out: Annotated[Path | None, typer.Option(help="Write what came of it to this file, as Markdown.")] = None,
) -> None:
    """Start a run of its own, and follow it to its end. Exit status 1: it failed.

    Its stack file is the standing run's with other parameters; the same name and parameters go on with the same run.
    """
    if environment not in ENVIRONMENTS:
        raise MantaError(f"{environment} is no environment: it is one of {', '.join(ENVIRONMENTS)}")
    path = write_stack_file(Path(), environment, run, arguments)
    stack = stack_name(environment, run)
    if stack not in {each.name for each in stacks.listed()}:
        stacks.create(stack, secrets_provider)
    status = deploy.update(stack)
    if out:
        out.write_text(markdown(stack, path.read_text(), stacks.outputs(stack) if not status else {}))
    if status:
        raise typer.Exit(status)


def markdown(stack: str, file: str, outputs: dict[str, Any]) -> str:
    """What came of a run, for people. Texts from outside stay within code."""
    from ops.report.text import code

    lines = [f"### Run {code(outputs.get('run') or stack)}", ""]
    result: Any = outputs.get("result")
    if isinstance(result, dict):
        values = cast(dict[str, Any], result)
        lines += [
            "| | |",
            "|---|---|",
            *(f"| {code(key)} | {code(json.dumps(value))} |" for key, value in values.items()),
        ]
    elif outputs:
        lines.append("It was submitted; its end was not waited for.")
    else:
        lines.append("**It failed.** The log of this job says why.")
    content = file.replace("`", "'").rstrip()
    return "\n".join([*lines, "", "Its stack file, to keep or to try again:", "", "```yaml", content, "```", ""])
