"""Everything that a stack file may say. Read once, at the start; nothing else reads Pulumi's configuration."""

from __future__ import annotations

from collections.abc import Mapping

from infra.errors import SettingsError
from infra.settings.base import Settings, decode, read
from infra.settings.bootstrap import BootstrapSettings
from infra.settings.platform import PlatformSettings
from infra.settings.serve import ServeSettings
from infra.settings.train import TrainSettings
from infra.settings.workbench import WorkbenchSettings
from infra.stack import PRODUCTION, PROJECT, StackName

_SECTIONS: dict[str, type[Settings]] = {
    "bootstrap": BootstrapSettings,
    "platform": PlatformSettings,
    "train": TrainSettings,
    "serve": ServeSettings,
    "workbench": WorkbenchSettings,
}


def load(stack: StackName, config: Mapping[str, str]) -> Settings:
    """The settings of `stack` from Pulumi's `config` (`manta:key` to text); raises SettingsError.

    Keys of other namespaces belong to providers and are left to them.
    """
    if stack.layer == "workbench" and stack.environment == PRODUCTION:
        raise SettingsError(
            f"stack {stack}: a workbench runs whatever anyone submits, which production must not: work in another "
            "environment, as workbench-dev, and bring the result here as a train or serve stack"
        )
    prefix = f"{PROJECT}:"
    values = {key.removeprefix(prefix): decode(text) for key, text in config.items() if key.startswith(prefix)}
    found = read(_SECTIONS[stack.layer], values, str(stack))
    if isinstance(found, PlatformSettings) and stack.environment == PRODUCTION:
        _require_strength(found, str(stack))
    return found


def _require_strength(settings: PlatformSettings, stack: str) -> None:
    weak = [] if settings.protect else ["manta:protect must be true"]
    weak += [] if settings.mlflow_asks else ["manta:mlflow.authentication must be true"]
    weak += settings.aws.weaknesses if settings.aws else []
    if weak:
        raise SettingsError(f"stack {stack}: in production {' and '.join(weak)}")


__all__ = [
    "BootstrapSettings",
    "PlatformSettings",
    "ServeSettings",
    "Settings",
    "TrainSettings",
    "WorkbenchSettings",
    "load",
]
