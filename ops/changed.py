"""Which stacks a change can change: those alone are previewed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError
from ops.github import Output, leave
from ops.show import Json, as_json

STACK_FILE = re.compile(r"Pulumi\.(.+)\.yaml")
# Folders and files that stand under every stack; payloads stand under the runs and endpoints alone.
_ALL = ("infra/", "policies/", "Pulumi.yaml", "requirements.txt")
_RUNS = ("payloads/",)
_WITH_PAYLOADS = ("train-", "serve-")  # a workbench gets its code with each job
# An endpoint serves what a run has made, and both stand on the platform.
_LAYERS = ("platform", "train", "serve", "workbench")


def changed(
    base: Annotated[str, typer.Option(help="The commit to compare with.")],
    head: Annotated[str, typer.Option(help="The commit of the change.")] = "HEAD",
    checkout: Annotated[Path, typer.Option(help="The checkout that holds both.")] = Path(),
    environment: Annotated[list[str] | None, typer.Option(help="Only stacks of these environments.")] = None,
    json: Json = False,
    output: Output = "",
) -> None:
    """List the stacks that the change from BASE to HEAD can change, one a line, in the order to update them in."""
    found = affected(_files(checkout, base, head), _stacks(checkout / "stacks"), environment or ["dev", "prod"])
    if output:
        leave(output, found)
        # A matrix's own form: each environment has an account, and with it a role, of its own.
        leave(f"{output}-matrix", [{"stack": stack, "environment": _environment(stack)} for stack in found])
    if json:
        as_json(found)
    else:
        for stack in found:
            typer.echo(stack)


def affected(files: Iterable[str], stacks: Iterable[str], environments: Iterable[str]) -> list[str]:
    """Of `stacks`, those that `files` (paths from the checkout's root) can change: platforms, runs, endpoints, then
    workbenches."""
    changed_files, wanted = list(files), set(environments)
    everything = any(path.startswith(_ALL) for path in changed_files)
    runs = any(path.startswith(_RUNS) for path in changed_files)
    own = {match[1] for path in changed_files if (match := STACK_FILE.fullmatch(path.removeprefix("stacks/")))}
    found = (
        stack
        for stack in stacks
        # The workflows' own roles are brought up by hand: nobody widens their own rights.
        if _environment(stack) in wanted
        and not stack.startswith("bootstrap-")
        and (everything or stack in own or (runs and stack.startswith(_WITH_PAYLOADS)))
    )
    return sorted(found, key=lambda stack: (_order(stack), stack))


def _order(stack: str) -> int:
    layer = stack.partition("-")[0]
    return _LAYERS.index(layer) if layer in _LAYERS else len(_LAYERS)


def _environment(stack: str) -> str:
    return f"{stack}--".split("-")[1]


def _stacks(folder: Path) -> list[str]:
    return [match[1] for path in folder.glob("Pulumi.*.yaml") if (match := STACK_FILE.fullmatch(path.name))]


def _files(checkout: Path, base: str, head: str) -> list[str]:
    for commit in (base, head):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/~^-]*", commit):
            raise MantaError(f"{commit!r} names no commit: give a branch, a tag or a hash")
    result = subprocess.run(
        ["git", "-C", str(checkout), "diff", "--name-only", "-z", f"{base}...{head}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode:
        raise MantaError(f"git cannot compare {base} with {head}: fetch both, with their history", detail=result.stderr)
    return [name for name in result.stdout.split("\0") if name]
