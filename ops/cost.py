"""What stands costs: a stack by what its state holds, a cluster by its nodes. List prices; nothing is guessed."""

from __future__ import annotations

import json as formats
import subprocess
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

import typer

from local.errors import MantaError
from ops import moments
from ops.cluster import Cluster
from ops.prices.table import HOURS_A_MONTH, Table, load
from ops.report.costs import Bill, bill
from ops.report.preview import Resource
from ops.show import Json, as_json, table
from ops.watch.nodes import Node, under


def cost(
    stacks: Annotated[list[str] | None, typer.Argument(help="Stacks; the nodes of the cluster if left out.")] = None,
    json: Json = False,
) -> None:
    """Say what stacks, or the nodes of the cluster in KUBECONFIG, cost at list prices.

    A cluster's spot machines are counted at their on-demand price, which is the most that they can cost; a stack's at
    what `ops prices` has kept, if anything.
    """
    prices = load()
    if stacks:
        bills = {stack: bill(recorded(_state(stack)), prices) for stack in stacks}
        _show_stacks(bills, prices, json)
    else:
        _show_nodes(_nodes(Cluster(), prices), prices, json)


def recorded(state: Mapping[str, Any]) -> list[Resource]:
    """The resources of `pulumi stack export`; raises MantaError for what is none."""
    deployment = state.get("deployment")
    if not isinstance(deployment, dict):
        raise MantaError("`pulumi stack export` answered what Pulumi 3.259 does not: is another pulumi on PATH?")
    resources = cast(Iterable[Mapping[str, Any]], cast(Mapping[str, Any], deployment).get("resources") or ())
    return [
        Resource(str(each["urn"]), str(each["type"]), cast(dict[str, Any], each.get("inputs") or {}))
        for each in resources
        if each.get("custom") and not each.get("delete")
    ]


def _state(stack: str) -> Mapping[str, Any]:
    try:
        result = subprocess.run(
            ["pulumi", "stack", "export", "--stack", stack], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise MantaError('pulumi is not on PATH: run `eval "$(make -s env)"` first, or install it') from None
    if result.returncode:
        raise MantaError(f"the state of stack {stack} cannot be read", detail=result.stderr)
    return cast(Mapping[str, Any], formats.loads(result.stdout))


def _nodes(cluster: Cluster, prices: Table) -> list[Node]:
    """Every node, as if one pod had come to it when it was made."""
    nodes = cluster.list("nodes")
    presence = [
        {"spec": {"nodeName": node["metadata"]["name"]}, "status": {"startTime": node["metadata"]["creationTimestamp"]}}
        for node in nodes
    ]
    return under(presence, nodes, prices, moments.now())


def _show_stacks(bills: Mapping[str, Bill], prices: Table, json: bool) -> None:
    if json:
        as_json({
            stack: {
                "usd_a_month": found.high * HOURS_A_MONTH,
                "components": {name: high * HOURS_A_MONTH for name, (_, high) in found.by_component().items()},
                "unpriced": found.unpriced,
            }
            for stack, found in bills.items()
        })  # fmt: skip
        return
    rows = [
        (stack, component, f"{high:.3f}", f"{high * HOURS_A_MONTH:,.0f}")
        for stack, found in bills.items()
        for component, (_, high) in found.by_component().items()
    ]
    total = sum(found.high for found in bills.values())
    rows.append(("", "all of it", f"{total:.3f}", f"{total * HOURS_A_MONTH:,.0f}"))
    table(("stack", "component", "USD an hour, at most", "USD a month, at most"), rows)
    for stack, found in bills.items():
        for line in found.unpriced:
            typer.echo(f"in no sum: {stack}, {line}")
    typer.echo(prices.about)


def _show_nodes(nodes: list[Node], prices: Table, json: bool) -> None:
    if json:
        as_json([
            {"node": node.name, "type": node.kind, "capacity": node.capacity, "usd_an_hour": node.hourly,
             "usd_so_far": node.spent, "seconds": round(node.seconds)}
            for node in nodes
        ])  # fmt: skip
        return
    rows = [
        (node.name, node.kind, node.capacity, _usd(node.hourly, 3), moments.said(node.seconds), _usd(node.spent, 2))
        for node in nodes
    ]
    priced = [node for node in nodes if node.hourly is not None]
    hourly, so_far = sum(node.hourly or 0 for node in priced), sum(node.spent or 0 for node in priced)
    rows.append((f"{len(nodes)} nodes", "", "", f"{hourly:.3f}", "", f"{so_far:.2f}"))
    table(("node", "type", "capacity", "USD an hour, at most", "age", "USD so far, at most"), rows)
    if len(priced) < len(nodes):
        typer.echo(f"in no sum: {len(nodes) - len(priced)} nodes of a type that the price table does not have")
    typer.echo(prices.about)


def _usd(value: float | None, places: int) -> str:
    return "no price" if value is None else f"{value:.{places}f}"
