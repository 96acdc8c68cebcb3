"""The environment in which people call pulumi and kubectl themselves: `eval "$(make -s env)"`."""

from __future__ import annotations

from local import choose
from local.engine import environment
from local.errors import MantaError
from local.settings import LocalSettings
from local.toolchain import golang
from local.toolchain.build import Toolchain, built


def exports(settings: LocalSettings) -> dict[str, str]:
    """Variables that differ from this process's; raises MantaError when nothing was built yet."""
    return environment.exports(variables(settings))


def variables(settings: LocalSettings) -> dict[str, str]:
    return environment.engine_environment(
        settings, tools(settings), kubeconfig=choose.choose_cluster(settings).kubeconfig
    )


def tools(settings: LocalSettings) -> Toolchain:
    """The toolchain as it was built; builds nothing."""
    go = golang.find()
    found = built(settings, go, choose.choose_engine(settings).pulumi) if go else None
    if found is None:
        raise MantaError("nothing is built on this machine yet: run `make up` first")
    return found
