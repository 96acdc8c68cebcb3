"""`python -m ops audit ENVIRONMENT`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from local.errors import MantaError
from ops.audit.marks import Marks
from ops.exits import Exit

if TYPE_CHECKING:
    from ops.audit.account import Leftover, Unseen

KUBECONFIG = "MANTA_SIM_KUBECONFIG"


def audit(
    environment: Annotated[str, typer.Argument(help="The environment, as in platform-<environment>.")],
    region: Annotated[str, typer.Option(help="AWS region; default: the SDK's.")] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="Also look into this cluster.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what is left of an environment in the AWS account. Reads only.

    Exit status: 0 nothing is left, 1 something is, 3 nothing was found but not everything could be looked at.
    """
    # The SDKs of AWS and Kubernetes take most of a second, which no other command should wait for.
    from botocore.exceptions import BotoCoreError, ClientError

    from ops.audit import account, objects

    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    if not where:
        raise typer.BadParameter("no region: pass --region, or set AWS_REGION")
    try:
        found, unseen = account.look(Marks(environment), where)
    except (ClientError, BotoCoreError) as error:
        raise MantaError(
            f"the AWS account cannot be looked at in {where}: {error}: check the credentials and the region"
        ) from None
    chosen = kubeconfig or (Path(os.environ[KUBECONFIG]) if os.environ.get(KUBECONFIG) else None)
    if chosen is not None:
        in_cluster, hidden = objects.look(chosen)
        found, unseen = [*found, *in_cluster], [*unseen, *hidden]
    if as_json:
        print(json.dumps({"left": [asdict(item) for item in found], "unseen": [asdict(item) for item in unseen]}))
    else:
        show(Console(), environment, found, unseen)
    raise typer.Exit(Exit.FOUND if found else Exit.INPUT if unseen else Exit.OK)


def show(console: Console, environment: str, found: Sequence[Leftover], unseen: Sequence[Unseen]) -> None:
    if found:
        table = Table(title=f"left of {environment}", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for column in ("service", "kind", "id", "known by"):
            table.add_column(column, overflow="fold")
        for item in found:
            table.add_row(item.service, item.kind, item.id, item.because)
        console.print(table)
    elif not unseen:
        console.print(f"Nothing is left of {environment}.")
    for item in unseen:
        console.print(
            f"could not be looked at: {item.service} {item.kind}: {item.reason}", style="yellow", markup=False
        )
