"""What a person may choose about the simulated AWS: `MANTA_SIM_*`, beside the local cloud's `MANTA_*`."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import settings
from local.errors import MantaError
from local.settings import LocalSettings, Ports

_PREFIX = settings.SIM_PREFIX
# Beside those of the local cloud, so that both can run. Only `api` and `aws` are used.
_PORTS = {"api": 16443, "serve": 18000, "dashboard": 18265, "mlflow": 15000, "s3": 19000}
_AWS_PORT = 14566
_KNOWN = ("INSTANCE", "STATE_DIR", "PORT_AWS", *(f"PORT_{name.upper()}" for name in _PORTS))
# Not settings: handed to the stacks, and perhaps exported by `make env ENV=sim`.
_HANDED_OVER = ("KUBECONFIG",)


@dataclass(frozen=True)
class SimSettings:
    """`cluster`: the settings of the cluster that plays EKS. `aws_port`: of the simulated AWS, on 127.0.0.1."""

    cluster: LocalSettings
    aws_port: int

    @property
    def aws_dir(self) -> Path:
        """Keys and configuration of the simulated AWS."""
        return self.cluster.state_dir / "aws"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.aws_port}"


def load(environment: Mapping[str, str] | None = None) -> SimSettings:
    """Read the settings from `environment` (default: the process's), or raise a MantaError that names the variable."""
    env = os.environ if environment is None else environment
    given = {name.removeprefix(_PREFIX): value for name, value in env.items() if name.startswith(_PREFIX) and value}
    for name in given:
        if name not in (*_KNOWN, *_HANDED_OVER):
            close = difflib.get_close_matches(name, _KNOWN, n=1)
            known = ", ".join(_PREFIX + item for item in _KNOWN)
            hint = f"did you mean {_PREFIX}{close[0]}?" if close else f"the settings are {known}"
            raise MantaError(f"{_PREFIX}{name} is not a setting: {hint}")
    instance = given.get("INSTANCE", "sim")
    base = {name: value for name, value in env.items() if name in ("HOME", "XDG_CACHE_HOME", "MANTA_CACHE_DIR")}
    ports = {Ports.variable(name): given.get(f"PORT_{name.upper()}", str(port)) for name, port in _PORTS.items()}
    state = {"MANTA_STATE_DIR": given["STATE_DIR"]} if "STATE_DIR" in given else {}
    try:
        cluster = settings.load({**base, **ports, **state, "MANTA_INSTANCE": instance})
    except MantaError as error:
        raise MantaError(error.sentence.replace(settings.PREFIX, _PREFIX)) from None
    return SimSettings(cluster, _port(given.get("PORT_AWS", str(_AWS_PORT)), cluster.ports))


def _port(text: str, others: Ports) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 65535 or number in others.by_name().values():
        raise MantaError(f"{_PREFIX}PORT_AWS={text} cannot be used: it must be a port of its own, from 1 to 65535")
    return number
