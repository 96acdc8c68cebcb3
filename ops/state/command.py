"""`ops state`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError


def state(
    environment: Annotated[str, typer.Argument(help="The environment, as in platform-<environment>.")],
    stacks: Annotated[Path, typer.Option(help="The folder of the stack files.")] = Path("stacks"),
) -> None:
    """Make the bucket for the stacks' state and the key for their secrets, and say how to use them.

    Run it as often as you like: what is there stays, what was changed by hand is put right. Needs credentials of the
    environment's account that may make buckets and keys.
    """
    # AWS's SDK and all settings that there are take a second, which no other command should wait for.
    from botocore.exceptions import BotoCoreError, ClientError

    from ops.preflight import stackfile
    from ops.state.store import Store, ensure

    wanted = stackfile.read(stacks, f"platform-{environment}")
    if not wanted.on_aws:
        raise MantaError(f"platform-{environment} is not on AWS: its state is kept on this machine")
    store = Store(wanted.account, wanted.region)
    try:
        for step in ensure(store):
            typer.echo(f"{'done ' if step.done else 'well '} {step.what}")
    except (ClientError, BotoCoreError) as error:
        raise MantaError(
            f"AWS refused a step in {store.region}: {error}: mend that and run this again, it goes on from there"
        ) from None
    typer.echo("\nNext:")
    typer.echo(f"  pulumi login '{store.backend}'")
    typer.echo(f"  pulumi stack init platform-{environment} --secrets-provider '{store.secrets_provider}'")
