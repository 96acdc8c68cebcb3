"""`python -m ops promote serve-local --version 7`: the rollout of a model as a change that can be reviewed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from local.environment import CHECKOUT
from local.errors import MantaError
from local.settings import load
from ops.exits import Exit
from ops.promote.models import Registry
from ops.promote.stackfile import pin, read_model
from ops.show import Json, as_json
from payloads.training.paired import Comparison, Outcome, compare

_WORDS: dict[Outcome, str] = {
    "better": "the challenger is better",
    "worse": "the challenger is worse",
    "undecided": "which of them is better cannot be told from these rows",
}


def promote(
    stack: Annotated[str, typer.Argument(help="The serving stack whose model is to change.")],
    version: Annotated[str, typer.Option(help="The version to serve.", metavar="NUMBER")],
    alpha: Annotated[float, typer.Option(min=0.0001, max=0.5, help="How improbable chance must be.")] = 0.05,
    allow_equal: Annotated[bool, typer.Option(help="Promote also where no difference is shown.")] = False,
    rollback: Annotated[bool, typer.Option(help="Go back to an earlier version without comparing.")] = False,
    mlflow: Annotated[str | None, typer.Option(help="The MLflow server; else MLFLOW_TRACKING_URI or ours.")] = None,
    json: Json = False,
) -> None:
    """Compare a version with the one in use, and if it is better make it the champion and pin the stack to it.

    Both answer the rows that their trainings held out. The pin is written into the stack's file; `pulumi up` rolls it
    out. Exit status 1: not promoted.
    """
    if not version.isdigit():
        raise typer.BadParameter(f"a version is a number, not {version!r}", param_hint="--version")
    path = CHECKOUT / "stacks" / f"Pulumi.{stack}.yaml"
    registry = Registry(mlflow or os.environ.get("MLFLOW_TRACKING_URI") or _ours())
    found = decide(registry, path, version, None if rollback else alpha)
    promoted = rollback or found is None or _passes(found.outcome(alpha), allow_equal)
    name, _ = read_model(path)
    if promoted:
        registry.crown(name, version)
        pin(path, version)
    if json:
        as_json({"model": name, "version": version, "promoted": promoted, "comparison": _as_dict(found, alpha)})
    else:
        typer.echo(report(name, version, found, alpha, promoted, stack))
    if not promoted:
        raise typer.Exit(Exit.FOUND)


def decide(registry: Registry, path: Path, version: str, alpha: float | None) -> Comparison | None:
    """The comparison with the version in use; None where nothing is in use or nothing is to be compared.

    In use is what the file pins, or else the champion. Raises MantaError where the two held out other rows.
    """
    name, pinned = read_model(path)
    challenger = registry.version(name, version)
    current = pinned or registry.champion(name)
    if current is None or alpha is None:
        return None
    if current == version:
        raise MantaError(f"model {name} version {version} is the one in use: there is nothing to compare it with")
    champion = registry.version(name, current)
    differing = [key for key, value in champion.split.items() if challenger.split[key] != value]
    if differing:
        raise MantaError(
            f"model {name} versions {current} and {version} held out other rows ({', '.join(differing)} differ), so "
            "one may have been trained on what the other is tested on: train the challenger with the same split"
        )
    return compare(registry.right(champion), registry.right(challenger))


def report(name: str, version: str, found: Comparison | None, alpha: float, promoted: bool, stack: str) -> str:
    lines: list[str] = []
    if found is not None:
        lines = [
            f"{found.rows} held-out rows: champion {found.champion_right} right, challenger {found.challenger_right}",
            f"only the challenger right: {found.gained}, only the champion: {found.lost}, p = {found.p_value:.3g}",
            f"{_WORDS[found.outcome(alpha)]} (alpha {alpha:g})",
        ]
    if promoted:
        lines.append(f"{name} version {version} is champion; `pulumi up -s {stack}` serves it")
    else:
        hint = "" if found and found.outcome(alpha) == "worse" else ", --allow-equal promotes it all the same"
        lines.append(f"{name} version {version} is not promoted{hint}")
    return "\n".join(lines)


def _passes(outcome: Outcome, allow_equal: bool) -> bool:
    return outcome == "better" or (outcome == "undecided" and allow_equal)


def _as_dict(found: Comparison | None, alpha: float) -> dict[str, object] | None:
    if found is None:
        return None
    return {**found.__dict__, "p_value": found.p_value, "outcome": found.outcome(alpha)}


def _ours() -> str:
    return f"http://127.0.0.1:{load().ports.mlflow}"
