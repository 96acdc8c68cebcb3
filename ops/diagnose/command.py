"""`ops diagnose`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from ops.cluster import Cluster
from ops.diagnose.diagnosis import CAUSES, Finding
from ops.diagnose.diagnosis import diagnose as find
from ops.diagnose.gather import gather
from ops.exits import Exit
from ops.show import Json, as_json, table

NAMESPACES = ("ray", "manta-system")


def diagnose(
    about: Annotated[str, typer.Argument(help="A stack, a run, an endpoint or a pod; all of them if left out.")] = "",
    namespace: Annotated[list[str] | None, typer.Option("--namespace", "-n", help="Where to look.")] = None,
    known: Annotated[bool, typer.Option(help="List the failures that are known, and ask no cluster.")] = False,
    json: Json = False,
) -> None:
    """Say why something is pending, crashing or unhealthy, and what to do. Exit status 1: something is.

    Reads objects, events and the last lines of failed containers of the cluster in KUBECONFIG; changes nothing.
    """
    if known:
        _list_known(json)
        return
    evidence = gather(Cluster(), namespace or NAMESPACES, about)
    found = find(evidence)
    if json:
        as_json({"findings": [asdict(each) for each in found], "unseen": evidence.unseen})
    else:
        _show(found, about)
        for kind in evidence.unseen:
            typer.echo(f"not looked at, for want of rights: {kind}")
    if found:
        raise typer.Exit(Exit.FOUND)


def _show(found: list[Finding], about: str) -> None:
    if not found:
        typer.echo(f"nothing is wrong with {about}" if about else "nothing is wrong")
        return
    for number, each in enumerate(found, 1):
        things = ", ".join(each.things[:3]) + (f" and {len(each.things) - 3} more" if len(each.things) > 3 else "")
        typer.echo(f"{number}. {things}  [{each.cause}]")
        typer.echo(f"   why: {each.why}")
        typer.echo(f"   do:  {each.fix}")
        typer.echo(f"   it said: {each.said}")


def _list_known(json: bool) -> None:
    if json:
        as_json([{"name": each.name, "why": each.why, "fix": each.fix} for each in CAUSES])
    else:
        table(("failure", "why, and what to do"), [(each.name, f"{each.why}\n→ {each.fix}") for each in CAUSES])
