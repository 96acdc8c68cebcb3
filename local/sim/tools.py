"""The programs of the simulated AWS, beside the local cloud's toolchain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from local.progress import Reporter
from local.settings import LocalSettings
from local.toolchain import golang, modules
from local.toolchain.build import ensure_module, entry_of


@dataclass(frozen=True)
class AwsTools:
    """`entry`: the toolchain's folder with `bin` and `share`."""

    entry: Path
    helm: Path

    @property
    def karpenter(self) -> Path:
        return self.entry / "bin" / "controller"

    @property
    def kwok(self) -> Path:
        return self.entry / "bin" / "kwok"

    @property
    def charts(self) -> Path:
        """Folders `karpenter` and `karpenter-crd`: the official charts of that version."""
        return self.entry / "share" / "charts"

    @property
    def crds(self) -> Path:
        return self.entry / "share" / "karpenter" / "crds"


def ensure(settings: LocalSettings, go: golang.Go, progress: Reporter) -> AwsTools:
    """Build what the cache lacks: about four minutes on two cores."""
    entry = ensure_module(modules.aws(), go, settings, progress)
    return AwsTools(entry, ensure_module(modules.helm(), go, settings, progress) / "bin" / "helm")


def built(settings: LocalSettings, go: golang.Go) -> AwsTools:
    """Where they are or would be; builds nothing."""
    return AwsTools(entry_of(modules.aws(), go, settings), entry_of(modules.helm(), go, settings) / "bin" / "helm")
