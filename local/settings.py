"""What a person may choose about the local cloud, read once from the environment (`MANTA_*`)."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from local.errors import MantaError

PREFIX = "MANTA_"
PORT_PREFIX = "MANTA_PORT_"
# The simulated AWS has settings of its own (local/sim/settings.py), whose names are close to these.
SIM_PREFIX = "MANTA_SIM_"
# These folders' names are pasted into the configuration of containerd, kubelet and HAProxy, each with quoting rules of
# its own; what needs no quoting anywhere is accepted.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._+@/-]+")
# The instance names a network namespace, a cgroup and, with a suffix, network interfaces (15 characters at most).
_INSTANCE = re.compile(r"[a-z][a-z0-9-]{0,9}")


class Ports(BaseModel):
    """Ports on 127.0.0.1 of this machine under which the cluster's services answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api: int = Field(6443, ge=1, le=65535)
    serve: int = Field(8000, ge=1, le=65535)
    dashboard: int = Field(8265, ge=1, le=65535)
    mlflow: int = Field(5000, ge=1, le=65535)
    s3: int = Field(9000, ge=1, le=65535)

    @staticmethod
    def variable(name: str) -> str:
        """The environment variable that changes the port called `name`."""
        return PORT_PREFIX + name.upper()

    @model_validator(mode="after")
    def _are_distinct(self) -> Ports:
        owners: dict[int, str] = {}
        for name, port in self.by_name().items():
            if port in owners:
                both = f"{self.variable(owners[port])} and {self.variable(name)}"
                raise ValueError(f"{both} both say {port}: give them different ports")
            owners[port] = name
        return self

    def by_name(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in type(self).model_fields}


class LocalSettings(BaseModel):
    """Immutable settings of one local cloud. `state_dir` holds what must survive, `cache_dir` what can be rebuilt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance: str = "manta"
    state_dir: Path
    cache_dir: Path
    ports: Ports = Ports()  # pyright: ignore[reportCallIssue]

    @field_validator("instance")
    @classmethod
    def _names_an_instance(cls, value: str) -> str:
        if not _INSTANCE.fullmatch(value):
            raise ValueError("must be 1 to 10 lower-case letters, digits or hyphens, starting with a letter")
        return value

    @field_validator("state_dir", "cache_dir")
    @classmethod
    def _is_a_folder_of_ours(cls, value: Path) -> Path:
        text = os.path.normpath(value)
        if not _PLAIN_PATH.fullmatch(text):
            raise ValueError("must be an absolute path of letters, digits and . _ + @ - only")
        if len(Path(text).parts) < 3:  # `make clean` deletes these folders whole
            raise ValueError("must be a folder of its own, at least two levels below /")
        return Path(text)

    @property
    def kubeconfig(self) -> Path:
        """The user's credentials for our own cluster."""
        return self.state_dir / "kubeconfig"

    @property
    def toolchain_dir(self) -> Path:
        return self.cache_dir / "toolchain"


def load(environment: Mapping[str, str] | None = None) -> LocalSettings:
    """Read the settings from `environment` (default: the process's), or raise a MantaError that names the variable."""
    env = os.environ if environment is None else environment
    _refuse_misspelt(env)
    instance = env.get("MANTA_INSTANCE") or "manta"
    values: dict[str, Any] = {
        "instance": instance,
        "state_dir": env.get("MANTA_STATE_DIR") or _default_state_dir(instance),
        "cache_dir": env.get("MANTA_CACHE_DIR") or _default_cache_dir(env),
        "ports": {name: env[var] for name in Ports.model_fields if env.get(var := Ports.variable(name))},
    }
    try:
        return LocalSettings.model_validate(values)
    except ValidationError as error:
        raise MantaError(_sentence(error)) from None


def known_variables() -> tuple[str, ...]:
    own = (PREFIX + name.upper() for name in LocalSettings.model_fields if name != "ports")
    return (*own, *(Ports.variable(name) for name in Ports.model_fields))


def _default_state_dir(instance: str) -> str:
    return "/var/lib/manta" if instance == "manta" else f"/var/lib/manta-{instance}"


def _default_cache_dir(env: Mapping[str, str]) -> str:
    base = env.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative values ignored.
    return f"{base}/manta" if base.startswith("/") else f"{env.get('HOME') or Path.home()}/.cache/manta"


def _refuse_misspelt(env: Mapping[str, str]) -> None:
    known = known_variables()
    for variable in env:
        if variable in known or not variable.startswith(PREFIX) or variable.startswith(SIM_PREFIX):
            continue
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
        if variable.startswith(PORT_PREFIX) or close:
            hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(known)}"
            raise MantaError(f"{variable} is not a setting: {hint}")


def _sentence(error: ValidationError) -> str:
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    location = [str(part) for part in problem["loc"]]
    if location == ["ports"]:  # the message names both variables itself
        return message
    variable = Ports.variable(location[1]) if location[0] == "ports" else PREFIX + location[0].upper()
    return f"{variable}={problem['input']} cannot be used: {message}"
