"""The stacks that Pulumi keeps, and their end, through the CLI on PATH."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from local.errors import MantaError
from ops import moments
from ops.runs.run import Run

# A run's own stack. `train-<environment>` without a name is the standing run, which nobody forgets.
RUN_STACK = re.compile(r"train-[a-z0-9]+-.+")


@dataclass(frozen=True)
class Stack:
    """`updated` is its last update's end; None before the first."""

    name: str
    updated: datetime.datetime | None
    resources: int


@dataclass(frozen=True)
class Forgotten:
    """A stack that nobody needs any more, and why."""

    stack: str
    why: str


def forgotten(
    stacks: Iterable[Stack], runs: Iterable[Run], older_than: float, now: datetime.datetime
) -> list[Forgotten]:
    """Stacks of named runs that ended, or were last touched, more than `older_than` seconds ago.

    A run that goes on is never among them, however old it is; nor is the standing run of an environment, nor a stack
    whose runs start by the clock: it waits for the next.
    """
    by_stack: dict[str, list[Run]] = {}
    for run in runs:
        by_stack.setdefault(run.stack, []).append(run)
    found: list[Forgotten] = []
    for stack in stacks:
        own = by_stack.get(stack.name, [])
        if not RUN_STACK.fullmatch(stack.name) or any(run.template or not run.over for run in own):
            continue
        ends = [run.ended for run in own if run.ended] or [stack.updated]
        moment = max((end for end in ends if end), default=None)
        if moment is None or (age := (now - moment).total_seconds()) < older_than:
            continue
        ago = f"{moments.said(age)} ago"
        found.append(Forgotten(stack.name, f"its run ended {ago}" if own else f"it has no run; last updated {ago}"))
    return found


def listed() -> list[Stack]:
    """The stacks of the backend that the environment names; raises MantaError."""
    answer = _pulumi("stack", "ls", "--json")
    try:
        entries = cast(list[dict[str, Any]], json.loads(answer))
        return [
            Stack(str(each["name"]), moments.parse(each.get("lastUpdate")), int(each.get("resourceCount") or 0))
            for each in entries
        ]
    except (ValueError, KeyError, TypeError):
        raise MantaError(
            "`pulumi stack ls --json` answered what Pulumi 3.259 does not: is another pulumi on PATH?"
        ) from None


def create(stack: str, secrets_provider: str) -> None:
    """Make an empty stack; raises MantaError."""
    provider = ["--secrets-provider", secrets_provider] if secrets_provider else []
    _pulumi("stack", "init", "--no-select", "--non-interactive", *provider, stack)


def outputs(stack: str) -> dict[str, Any]:
    """What the stack exports, secrets hidden; raises MantaError."""
    return cast(dict[str, Any], json.loads(_pulumi("stack", "output", "--json", "--stack", stack)))


def remove(stack: str) -> None:
    """End what the stack holds, and the stack; its file in stacks/ stays. Raises MantaError."""
    _pulumi("destroy", "--yes", "--skip-preview", "--non-interactive", "--stack", stack)
    # Not `destroy --remove`, which takes the stack's file too.
    _pulumi("stack", "rm", "--yes", "--preserve-config", "--non-interactive", stack)


def _pulumi(*arguments: str) -> str:
    # What ends has no policies to obey.
    environment = {key: value for key, value in os.environ.items() if key != "PULUMI_OPTION_POLICY_PACK"}
    try:
        result = subprocess.run(
            ["pulumi", *arguments], env={**environment, "PULUMI_SKIP_UPDATE_CHECK": "true"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise MantaError('pulumi is not on PATH: run `eval "$(make -s env)"` first, or install it') from None
    if result.returncode:
        raise MantaError(
            f"`pulumi {' '.join(arguments)}` failed: its reason is above", detail=result.stderr + result.stdout
        )
    return result.stdout
