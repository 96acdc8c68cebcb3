"""Errors that people read. Pulumi prints a RunError as its message alone, without a traceback."""

from __future__ import annotations

import pulumi


class MantaError(pulumi.RunError):
    """One sentence: what is wrong, where, what to do."""


class SettingsError(MantaError):
    """A stack file says something that cannot be used."""


class ContractError(MantaError):
    """The platform stack does not offer what this stack needs."""


class RuleError(MantaError):
    """A manifest that KubeRay or Ray would accept and then fail, ignore or hang on."""


class WaitError(MantaError):
    """What was deployed did not become what it should."""
