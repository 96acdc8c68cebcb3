"""Official tools and an existing cluster are preferred to our own: what is used, and why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import MantaError
from local.settings import LocalSettings

CHECKOUT = Path(__file__).resolve().parents[1]
_OWN_PLUGINS = CHECKOUT / "local" / "engine" / "bin"


@dataclass(frozen=True)
class ClusterChoice:
    """`kubeconfig` is what KUBECONFIG should say: a path, or several joined by colons if the user's does."""

    own: bool
    kubeconfig: str
    reason: str


@dataclass(frozen=True)
class EngineChoice:
    """`pulumi` is the user's CLI, or None when ours is to be built; `reason` completes the sentence `engine: ...`."""

    pulumi: Path | None
    reason: str

    @property
    def own(self) -> bool:
        return self.pulumi is None


def choose_cluster(settings: LocalSettings, environment: Mapping[str, str] | None = None) -> ClusterChoice:
    """The cluster of the user's KUBECONFIG, else our own. What `make env` exports counts as ours."""
    env = os.environ if environment is None else environment
    own = str(settings.kubeconfig)
    named = [path for path in env.get("KUBECONFIG", "").split(os.pathsep) if path]
    if not named:
        return ClusterChoice(True, own, "Manta's own on this machine (KUBECONFIG is not set)")
    theirs = [path for path in named if Path(path).resolve() != settings.kubeconfig.resolve()]
    if not theirs:
        return ClusterChoice(True, own, "Manta's own on this machine (KUBECONFIG names it)")
    if not any(Path(path).is_file() for path in theirs):
        raise MantaError(
            f"KUBECONFIG={env['KUBECONFIG']} names no file: correct it, or unset it to use Manta's own cluster"
        )
    return ClusterChoice(False, os.pathsep.join(theirs), f"yours, of KUBECONFIG={os.pathsep.join(theirs)}")


def choose_engine(settings: LocalSettings, environment: Mapping[str, str] | None = None) -> EngineChoice:
    """The user's Pulumi if it is complete (CLI 3.x, Python language host, Kubernetes provider), else ours."""
    env = os.environ if environment is None else environment
    folders = _folders(env.get("PATH", os.defpath), settings)
    path = os.pathsep.join(folders)
    pulumi = shutil.which("pulumi", path=path)
    if pulumi is None:
        return EngineChoice(None, "Manta's own build (no pulumi on PATH)")
    cli = Path(pulumi)
    # The CLI looks for its language hosts beside itself first, then on PATH.
    beside = os.pathsep.join([str(cli.resolve().parent), path])
    if shutil.which("pulumi-language-python", path=beside) is None:
        return EngineChoice(None, f"Manta's own build ({cli} has no pulumi-language-python)")
    wanted = kubernetes_plugin_version()
    if not _has_kubernetes_plugin(env, path, wanted):
        install = f"`pulumi plugin install resource kubernetes {wanted}` would make {cli} complete"
        return EngineChoice(None, f"Manta's own build ({install})")
    version = _cli_version(cli)
    if not re.match(r"v?3\.", version):
        return EngineChoice(None, f"Manta's own build ({cli} is {version or 'of no known version'}, 3.x is needed)")
    return EngineChoice(cli, f"official Pulumi {version} ({cli})")


def kubernetes_plugin_version() -> str:
    """The version of the Kubernetes provider that the program's SDK asks for."""
    text = (CHECKOUT / "requirements.txt").read_text()
    match = re.search(r"^pulumi-kubernetes==(\S+)", text, re.MULTILINE)
    if match is None:
        raise MantaError(f"{CHECKOUT}/requirements.txt pins no pulumi-kubernetes: restore it from version control")
    return match.group(1)


def _folders(path: str, settings: LocalSettings) -> list[str]:
    """PATH without what `make env` puts on it."""

    def is_ours(folder: str) -> bool:
        resolved = Path(folder).resolve()
        return resolved == _OWN_PLUGINS or resolved.is_relative_to(settings.cache_dir.resolve())

    return [folder for folder in path.split(os.pathsep) if folder and not is_ours(folder)]


def _has_kubernetes_plugin(env: Mapping[str, str], path: str, version: str) -> bool:
    if shutil.which("pulumi-resource-kubernetes", path=path):
        return True
    # Not PULUMI_HOME: it may be ours, by `make env`.
    home = Path(env.get("HOME") or Path.home()) / ".pulumi" / "plugins" / f"resource-kubernetes-v{version}"
    return os.access(home / "pulumi-resource-kubernetes", os.X_OK)


def _cli_version(cli: Path) -> str:
    try:
        ended = subprocess.run(
            [str(cli), "version"], capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout.strip()
