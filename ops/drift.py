"""What was changed past the program: what is recorded compared with what there is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError
from ops.exits import Exit
from ops.github import Output, leave
from ops.report.diff import differences
from ops.report.preview import Preview
from ops.report.read import parse_refresh
from ops.report.text import code, value
from ops.show import Json, as_json

_MOST_FIELDS, _MOST_RESOURCES = 10, 100


@dataclass(frozen=True)
class Drifted:
    """`fields` are lines of Markdown, without secrets."""

    operation: str
    name: str
    type: str
    fields: list[str]


def drift(
    stack: Annotated[str, typer.Argument(help="The stack to compare with what there is.")],
    recorded: Annotated[Path | None, typer.Option(help="Read what `pulumi refresh --json` wrote, run nothing.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the text to this file too.")] = None,
    json: Json = False,
    output: Output = "",
) -> None:
    """Say what was changed or deleted past the program. Exit status 1: something was (with --output that is 0 too).

    Takes no lock and changes nothing. Fields of Kubernetes objects that other writers own are not seen.
    """
    text = _read(recorded) if recorded else _refresh(stack)
    found = drifted(parse_refresh(text, stack, f"the refresh of {stack}"))
    if json:
        as_json([asdict(each) for each in found])
    else:
        typer.echo(markdown(stack, found))
    if out:
        out.write_text(markdown(stack, found) + "\n")
    if output:
        leave(output, bool(found))
    elif found:
        raise typer.Exit(Exit.FOUND)


def drifted(preview: Preview) -> list[Drifted]:
    if preview.errors:
        raise MantaError(f"stack {preview.stack} cannot be compared", detail="\n".join(preview.errors))
    found: list[Drifted] = []
    for change in preview.changes:
        hidden = change.type == "kubernetes:core/v1:Secret"
        fields = [
            f"{code(each.path)} {value(each.path, each.old)} → {value(each.path, each.new)}"
            for each in differences(change.old, change.new)
            if change.operation == "update" and (not hidden or each.path.startswith("metadata"))
        ]
        found.append(Drifted(change.operation, change.name, change.type, fields))
    return found


def markdown(stack: str, found: list[Drifted]) -> str:
    """The text of an issue; the same drift gives the same text."""
    if not found:
        return f"Nothing of {code(stack)} was changed past the program."
    lines = [f"{len(found)} resources of {code(stack)} are not as they were deployed:", ""]
    for each in found[:_MOST_RESOURCES]:
        word = "gone" if each.operation == "delete" else "changed"
        lines.append(f"- **{word}**: {code(each.name)} {code(each.type)}")
        lines += [f"  - {field}" for field in each.fields[:_MOST_FIELDS]]
    if len(found) > _MOST_RESOURCES:
        lines.append(f"- _and {len(found) - _MOST_RESOURCES} more_")
    again = f"`pulumi up --refresh -s {stack}` deploys them again; to keep a change, write it into the program first."
    return "\n".join([*lines, "", again])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        raise MantaError(f"{path} cannot be read as text: write it with `pulumi refresh --json > FILE`") from None


def _refresh(stack: str) -> str:
    environment = {**os.environ, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
    # A refresh has no policies to obey.
    environment.pop("PULUMI_OPTION_POLICY_PACK", None)
    try:
        result = subprocess.run(
            ["pulumi", "refresh", "--preview-only", "--json", "--non-interactive", "--stack", stack],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise MantaError('pulumi is not on PATH: run `eval "$(make -s env)"` first, or install it') from None
    if not result.stdout.strip():
        raise MantaError(f"stack {stack} cannot be compared with what there is", detail=result.stderr)
    return result.stdout
