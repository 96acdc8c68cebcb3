"""`make up ENV=sim`: the machine, then every stack of the environment `sim`, in the order in which they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from local import cluster
from local.cluster.health import find
from local.engine import stacks
from local.environment import CHECKOUT
from local.errors import MantaError
from local.progress import Reporter
from local.sim import account, machine, tools
from local.sim.settings import SimSettings
from local.toolchain import golang
from local.toolchain.build import built
from local.up import stack
from local.up.stack import Engine

ENVIRONMENT = "sim"
_LAYERS = ("platform", "train", "serve", "workbench")


@dataclass(frozen=True)
class Summary:
    """Stack -> its outputs."""

    settings: SimSettings
    outputs: dict[str, dict[str, Any]]


def standing_stacks() -> list[str]:
    """The stacks of the environment that have a file, platform first."""
    names = [f"{layer}-{ENVIRONMENT}" for layer in _LAYERS]
    return [name for name in names if (CHECKOUT / "stacks" / f"Pulumi.{name}.yaml").is_file()]


def up(settings: SimSettings, report: Reporter) -> Summary:
    """Bring all of it up; quick when it is up already."""
    ready = machine.ensure(settings, report)
    outputs: dict[str, dict[str, Any]] = {}
    for name in standing_stacks():
        with report.stage(f"stack {name}") as stage:
            chosen = engine_of(ready.engine, name)
            stack.up(chosen, name, stage)
        outputs[name] = stack.outputs(ready.engine, name)
    return Summary(settings, outputs)


def down(settings: SimSettings, report: Reporter) -> None:
    """End the simulated AWS and delete what belongs to it: an account lives no longer than its process, and stacks
    without their account would be lies."""
    cluster.purge(settings.cluster, report)


def variables(settings: SimSettings) -> dict[str, str]:
    """For `make env ENV=sim`; raises MantaError when nothing runs."""
    go = golang.find()
    found = built(settings.cluster, go) if go else None
    if go is None or found is None or find(settings.cluster) is None:
        raise MantaError("no simulated AWS runs on this machine: run `make up ENV=sim` first")
    return machine.variables(settings, found, tools.built(settings.cluster, go))


def engine_of(engine: Engine, name: str) -> Engine:
    """`engine` with what it needs to work on the stack `name`, which is created if it is not there yet."""
    environment = stacks.ensure_stack(engine.pulumi, engine.environment, CHECKOUT, name)
    return Engine(engine.pulumi, environment, CHECKOUT)


def show(console: Console, summary: Summary) -> None:
    """Where things are, and what can be done next."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("AWS", f"{summary.settings.endpoint} (simulated: nothing of it outlives its process)")
    table.add_row("EKS", f"https://127.0.0.1:{summary.settings.cluster.ports.api}")
    for name, outputs in summary.outputs.items():
        table.add_row(name, _what(outputs))
    console.print()
    console.print(table)
    console.print()
    console.print(
        f'Next: eval "$(make -s env ENV={ENVIRONMENT})" for pulumi, kubectl and the AWS SDKs by hand; '
        f"make down ENV={ENVIRONMENT} ends the account and all in it",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _what(outputs: dict[str, Any]) -> str:
    return str(next((outputs[name] for name in ("run", "service", "workbench", "cluster") if outputs.get(name)), "up"))


def status(settings: SimSettings, console: Console) -> bool:
    """Print what runs; false when something that should does not."""
    state = cluster.status(settings.cluster)
    if not state.running:
        console.print("The simulated AWS is not running: `make up ENV=sim` starts it, with an empty account.")
        return False
    for component in state.components:
        word = "well" if component.healthy else f"not well {component.last_exit}".rstrip()
        console.print(f"{component.name:20} {component.pid or '':>8} {word}", highlight=False)
    try:
        current = account.wait(settings)
    except MantaError as error:
        console.print(error.sentence, style="red", markup=False)
        return False
    if current != account.remembered(settings):
        console.print("The account of the stacks has ended: `make up ENV=sim` starts anew.", style="yellow")
        return False
    return state.healthy
