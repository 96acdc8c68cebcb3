"""Which simulated account there is: it lives in its process alone, and stacks must not outlive it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from local.cluster.files import write_private
from local.cluster.layout import Layout
from local.errors import MantaError
from local.sim.settings import SimSettings

_PATIENCE_S = 60.0
_NOTE = "account"


def control(settings: SimSettings, path: str, body: dict[str, Any] | None = None, timeout_s: float = 10.0) -> Any:
    """Ask the simulation itself (`/sim/...`), not AWS. Raises OSError when it does not answer."""
    request = urllib.request.Request(settings.endpoint + path, json.dumps(body or {}).encode())  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310 - likewise
        return json.load(response)


def wait(settings: SimSettings) -> str:
    """The account's own name, once AWS answers. MantaError with the end of its log when it does not."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return str(control(settings, "/sim/account")["account"])
        except (OSError, urllib.error.URLError) as error:
            if time.monotonic() > deadline:
                log = Layout(settings.cluster.state_dir).logs / "aws.log"
                lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else str(error)
                raise MantaError(
                    f"the simulated AWS does not answer at {settings.endpoint}: the end of {log} is above", lines
                ) from None
            time.sleep(0.2)


def remembered(settings: SimSettings) -> str | None:
    """The account in which the stacks were brought up."""
    try:
        return _note(settings).read_text()
    except FileNotFoundError:
        return None


def remember(settings: SimSettings, account: str) -> None:
    write_private(_note(settings), account)


def _note(settings: SimSettings) -> Path:
    return settings.aws_dir / _NOTE
