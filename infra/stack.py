"""What a stack's name says: `<layer>-<environment>[-<run>]`."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from infra.errors import SettingsError

PROJECT = "manta"
LAYERS = ("bootstrap", "platform", "train", "serve", "workbench")
ENVIRONMENTS = ("local", "sim", "dev", "prod")
PRODUCTION = "prod"
# With a hyphen and eight characters of hash the name of a run's RayJob stays within KubeRay's 47.
MAX_RUN = 38
_RUN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class StackName:
    """`run` is empty for an environment's standing stack."""

    layer: str
    environment: str
    run: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.layer, self.environment, self.run) if part)

    @property
    def platform(self) -> str:
        """The stack that this one stands on."""
        return f"platform-{self.environment}"

    @classmethod
    def parse(cls, name: str) -> StackName:
        """Raises SettingsError for a name that no layer or environment answers to."""
        layer, _, rest = name.partition("-")
        environment, _, run = rest.partition("-")
        _require_known("layer", layer, LAYERS, name)
        _require_known("environment", environment, ENVIRONMENTS, name)
        if run and layer in ("bootstrap", "platform"):
            raise SettingsError(
                f"stack {name}: an environment has one {layer}, so its stack is called {layer}-{environment}"
            )
        if run and not (_RUN.fullmatch(run) and len(run) <= MAX_RUN):
            raise SettingsError(
                f"stack {name}: {run!r} cannot name a run: use at most {MAX_RUN} lower-case letters, digits and "
                "hyphens, starting with a letter and not ending with a hyphen"
            )
        return cls(layer, environment, run)


def _require_known(what: str, value: str, known: tuple[str, ...], name: str) -> None:
    if value in known:
        return
    close = difflib.get_close_matches(value, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"it is one of {', '.join(known)}"
    raise SettingsError(
        f"stack {name}: {value!r} is no {what} ({hint}); stacks are called <layer>-<environment>[-<run>]"
    )
