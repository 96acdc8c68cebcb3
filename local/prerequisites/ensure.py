"""Look at the machine once, early: nobody should learn after ten minutes of compiling that a port was taken."""

from __future__ import annotations

import os
import sys

from local.choose import ClusterChoice, EngineChoice
from local.errors import MantaError
from local.prerequisites import disk, packages, ports, programs
from local.progress import Reporter
from local.settings import LocalSettings
from local.toolchain import golang, modules


def ensure(
    settings: LocalSettings,
    progress: Reporter,
    cluster: ClusterChoice,
    engine: EngineChoice,
    *,
    payloads: bool = True,
) -> None:
    """Check the machine for what will be used on it and install missing Debian packages. `payloads`: their image too.

    Raises MantaError: with one problem its sentence, with several all of them as detail.
    """
    with progress.stage("prerequisites") as stage:
        problems = [
            *programs.root_problems(os.geteuid()),
            *programs.python_problems((sys.version_info.major, sys.version_info.minor)),
        ]
        if cluster.own or engine.own:
            problems += _go_problems(cluster)
        if cluster.own:
            problems += ports.problems(settings.ports, ports.listeners(settings))
        problems += disk.problems(disk.needs(settings, cluster, engine, payloads=payloads), disk.free)
        _raise(problems)
        if not cluster.own:
            return
        missing = packages.missing()
        if missing:
            stage.update(detail=f"installing {', '.join(missing)}")
            packages.install(missing, stage, settings.cache_dir / "apt.log")
            stage.result(f"installed {', '.join(missing)}")


def _go_problems(cluster: ClusterChoice) -> list[str]:
    directory = (modules.cluster() if cluster.own else modules.pulumi()).directory
    go = golang.find()
    if go is None:
        return golang.version_problems(None, modules.go_version(directory))
    return golang.version_problems(go.version(directory), modules.go_version(directory))


def _raise(problems: list[str]) -> None:
    if len(problems) == 1:
        raise MantaError(problems[0])
    if problems:
        detail = "\n".join(f"- {problem}" for problem in problems)
        raise MantaError(f"this machine is not ready, for the {len(problems)} reasons above", detail)
