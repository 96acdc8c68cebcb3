"""One stack's preview as `ops report` reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from local.errors import MantaError


def preview(
    stack: Annotated[str, typer.Argument(help="The stack to preview.")],
    out: Annotated[Path, typer.Option(help="The folder to write <stack>.json into.")],
    project: Annotated[Path, typer.Option(help="The checkout whose program is run.")] = Path(),
    policies: Annotated[Path, typer.Option(help="The policy pack that judges it.")] = Path("policies"),
    plan: Annotated[bool, typer.Option(help="Also write <stack>.plan for `ops deploy --plan`.")] = False,
) -> None:
    """Preview a stack for `ops report`: every event as JSON, judged by a policy pack that the change cannot edit.

    A preview that fails is written too, with its reasons: the report says them and is what fails.
    """
    environment = {
        **os.environ,
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
        "PULUMI_OPTION_POLICY_PACK": str(policies.resolve()),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if not (policies / "PulumiPolicy.yaml").exists():
        raise MantaError(f"there is no policy pack in {policies}: a preview that nothing judged is no preview")
    out.mkdir(parents=True, exist_ok=True)
    command = ["pulumi", "preview", "--json", "--non-interactive", "--stack", stack]
    if plan:
        command += ["--save-plan", str((out / f"{stack}.plan").resolve())]
    try:
        result = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise MantaError('pulumi is not on PATH: run `eval "$(make -s env)"` first, or install it') from None
    if not result.stdout.strip():
        raise MantaError(f"the preview of {stack} said nothing", detail=result.stderr)
    (out / f"{stack}.json").write_text(result.stdout)
    typer.echo(f"{stack}: previewed, exit status {result.returncode}")
