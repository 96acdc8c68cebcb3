"""`make status`: the cluster's processes, the stacks, and the same closing table as `make up`."""

from __future__ import annotations

from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from local import choose, cluster
from local.cluster import ClusterStatus
from local.engine import stacks
from local.environment import CHECKOUT
from local.errors import MantaError
from local.settings import LocalSettings
from local.up import digit, flow, shell, stack, summary


def show(settings: LocalSettings, console: Console) -> bool:
    """Print what is known; false when something that should run does not."""
    chosen = choose.choose_cluster(settings)
    healthy = True
    if chosen.own:
        state = cluster.status(settings)
        if not state.running:
            console.print("The local cluster is not running: `make up` starts it and goes on where it was.")
            return False
        console.print(_components(state))
        healthy = state.healthy
    else:
        console.print(f"cluster: {chosen.reason}", markup=False)
    variables = shell.variables(settings)
    engine = stack.Engine(shell.tools(settings).pulumi, variables, CHECKOUT)
    names = stacks.stack_names(variables, CHECKOUT)
    if not names:
        console.print("No stack was brought up yet: `make up` does.")
        return healthy
    outputs = {name: stack.outputs(engine, name) for name in names}
    console.print(_stacks(outputs))
    result, ask = _latest_result(outputs), partial(digit.ask, patience_s=2)
    answered = True
    try:
        facts = (
            flow.summary(settings, result, ask)
            if chosen.own
            else flow.summary_elsewhere(settings, result, ask, variables)
        )
    except MantaError as error:
        answered = False
        if error.detail:
            console.print(error.detail, markup=False)
        console.print(error.sentence, style="yellow", markup=False)
        facts = flow.summary(settings, result, None)
    summary.show(console, facts, 'eval "$(make -s env)" for pulumi and kubectl by hand')
    return healthy and answered


def _components(state: ClusterStatus) -> Table:
    table = Table(title="cluster", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("process", "pid", "state", "up", "restarts"):
        table.add_column(column, justify="right" if column in ("pid", "up", "restarts") else "left")
    for component in state.components:
        word = "well" if component.healthy else f"not well {component.last_exit}".rstrip()
        up_for = f"{component.uptime_s / 60:.0f} min" if component.pid else ""
        style = "" if component.healthy else "red"
        table.add_row(component.name, str(component.pid or ""), word, up_for, str(component.restarts), style=style)
    return table


def _stacks(outputs: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="stacks", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("stack")
    table.add_column("what it says")
    for name, values in outputs.items():
        result: dict[str, Any] = values.get("result") or {}
        if "accuracy" in result:
            said = f"{values.get('run')}: accuracy {float(result['accuracy']):.4f}, {result.get('reason', '')}"
        else:
            said = str(values.get("run") or values.get("url") or values.get("mlflow") or "empty")
        table.add_row(name, said)
    return table


def _latest_result(outputs: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The result with the highest registered version, else any."""
    results = [
        values["result"] for name, values in outputs.items() if name.startswith("train-") and values.get("result")
    ]
    return max(results, key=lambda result: int(result.get("version") or 0), default=None)
