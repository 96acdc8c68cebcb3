"""What a step of a workflow leaves for the next one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from local.errors import MantaError

VARIABLE = "GITHUB_OUTPUT"
Output = Annotated[
    str, typer.Option("--output", help="In a workflow: leave the answer as the step's output of this name.")
]


def leave(name: str, value: Any) -> None:
    """Make `value`, as JSON on one line, the output `name` of the step that runs."""
    path = os.environ.get(VARIABLE)
    if not path:
        raise MantaError(f"--output {name} is for a workflow's step, where {VARIABLE} names a file: leave it out")
    with Path(path).open("a") as file:
        file.write(f"{name}={json.dumps(value)}\n")
