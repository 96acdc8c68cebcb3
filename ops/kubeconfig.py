"""The way into an environment's cluster, for commands and updates that read KUBECONFIG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from infra.errors import SettingsError
from infra.stack import StackName
from local.errors import MantaError
from ops.runs import stacks

OUTPUT = "kubeconfig"


def kubeconfig(
    stack: Annotated[str, typer.Argument(help="A stack of the environment.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
) -> None:
    """Write the kubeconfig that the environment's platform exports. It holds no credentials, and asks AWS for them.

    A platform stack needs none, and one that is yet to be made has none: then nothing is written.
    """
    try:
        name = StackName.parse(stack)
    except SettingsError as error:
        raise MantaError(str(error)) from None
    if name.layer in ("bootstrap", "platform"):
        typer.echo(f"{stack} makes its cluster itself: no kubeconfig is written")
        return
    found: Any = stacks.outputs(name.platform).get(OUTPUT)
    if not found:
        raise MantaError(f"{name.platform} exports no {OUTPUT}: bring it up first, or set KUBECONFIG yourself")
    out.touch(mode=0o600)
    out.write_text(found if isinstance(found, str) else json.dumps(cast(dict[str, Any], found)))
