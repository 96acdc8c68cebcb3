"""Settings -> the stack's layer -> outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime.config import CONFIG, get_config_env

HERE = Path(__file__).resolve().parent
# The engine starts a program with its own folder on the path, where `kubernetes` and `ray` would hide the libraries of
# those names; the project's folder is what imports start from.
sys.path[:] = [str(HERE.parent), *(entry for entry in sys.path if Path(entry or ".").resolve() != HERE)]

from infra import settings as stack_settings  # noqa: E402
from infra.layers import bootstrap, platform, serve, train, workbench  # noqa: E402
from infra.settings import (  # noqa: E402
    BootstrapSettings,
    PlatformSettings,
    ServeSettings,
    TrainSettings,
    WorkbenchSettings,
)
from infra.stack import StackName  # noqa: E402


async def main() -> dict[str, Any]:
    stack = StackName.parse(pulumi.get_stack())
    config = cast(dict[str, str], {**get_config_env(), **CONFIG.get()})
    match stack_settings.load(stack, config):
        case BootstrapSettings() as settings:
            return bootstrap.build(stack, settings)
        case PlatformSettings() as settings:
            return await platform.build(stack, settings)
        case TrainSettings() as settings:
            return await train.build(stack, settings, HERE.parent)
        case ServeSettings() as settings:
            return await serve.build(stack, settings, HERE.parent)
        case WorkbenchSettings() as settings:
            return await workbench.build(stack, settings)
        case settings:
            raise AssertionError(f"no layer takes {type(settings).__name__}")


pulumi.run(main)
