"""Make sure that the toolchain is there: `ensure` builds what is missing and is quick when nothing is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from local import locks
from local.errors import MantaError
from local.progress import Reporter, Stage
from local.settings import LocalSettings
from local.toolchain import cache, golang, modules


@dataclass(frozen=True)
class Toolchain:
    """Where the built programs are. `bin_dir` holds those of the cluster, and `kubectl`; `pulumi` is elsewhere."""

    bin_dir: Path
    pulumi: Path

    @property
    def kube(self) -> Path:
        return self.bin_dir / "kube"

    @property
    def kubectl(self) -> Path:
        return self.bin_dir / "kubectl"

    @property
    def coredns(self) -> Path:
        return self.bin_dir / "coredns"

    @property
    def pause(self) -> Path:
        return self.bin_dir / "pause"

    @property
    def ray_operator(self) -> Path:
        return self.bin_dir / "ray-operator"

    @property
    def versitygw(self) -> Path:
        return self.bin_dir / "versitygw"

    @property
    def kuberay_dir(self) -> Path:
        """KubeRay's own manifests of the operator's version: `crds/*.yaml` and `rbac/*.yaml`."""
        return self.bin_dir.parent / "share" / "kuberay"


def ensure(settings: LocalSettings, progress: Reporter, *, official_pulumi: Path | None = None) -> Toolchain:
    """Build the programs that the cache lacks; with `official_pulumi` that one is used and none is built.

    Raises MantaError when Go is missing or fails. Ctrl-C and kill leave no half entry; Go keeps what it compiled.
    """
    go = golang.find()
    if go is None:
        raise MantaError(golang.version_problems(None, modules.go_version(modules.cluster().directory))[0])
    bin_dir = ensure_module(modules.cluster(), go, settings, progress) / "bin"
    if official_pulumi is not None:
        return Toolchain(bin_dir, official_pulumi)
    return Toolchain(bin_dir, ensure_module(modules.pulumi(), go, settings, progress) / "bin" / "pulumi")


def built(settings: LocalSettings, go: golang.Go, official_pulumi: Path | None = None) -> Toolchain | None:
    """The toolchain if the cache holds all of it; builds nothing."""
    cluster, engine = (entry_of(module, go, settings) for module in (modules.cluster(), modules.pulumi()))
    if not cache.is_whole(cluster) or (official_pulumi is None and not cache.is_whole(engine)):
        return None
    return Toolchain(cluster / "bin", official_pulumi or engine / "bin" / "pulumi")


def ensure_module(module: modules.Module, go: golang.Go, settings: LocalSettings, progress: Reporter) -> Path:
    """The cache entry (folder with `bin/` and perhaps `share/`) of `module`, built if it is missing or damaged."""
    root = settings.toolchain_dir
    with progress.stage(f"toolchain: {module.name}") as stage:
        entry = entry_of(module, go, settings)
        if cache.is_whole(entry):
            stage.result("already built")
            return entry
        try:
            with locks.exclusive(
                root / "lock", lambda pid: stage.note(f"waiting for {pid}, which builds the toolchain")
            ):
                if cache.is_whole(entry):
                    stage.result("built by another run")
                    return entry
                if entry.exists():
                    stage.note(f"the cached {module.name} tools are damaged, building them again")
                _build(module, go, entry, stage)
                cache.sweep(root, entry)
        except OSError as error:
            raise MantaError(
                f"the toolchain cache in {root} cannot be written ({error}): see MANTA_CACHE_DIR"
            ) from error
    return entry


def entry_of(module: modules.Module, go: golang.Go, settings: LocalSettings) -> Path:
    """The cache's folder for `module`, there or not."""
    return settings.toolchain_dir / f"{module.name}-{modules.key(module, go.version(module.directory))}"


def _build(module: modules.Module, go: golang.Go, entry: Path, stage: Stage) -> None:
    total = golang.count_packages(go, module, stage)
    compiled = 0

    def on_package(name: str) -> None:
        nonlocal compiled
        compiled += 1
        stage.update(completed=compiled, total=total, detail=f"compiling {name}")

    with cache.scratch_folder(entry.parent) as scratch:
        result, work = scratch / "result", scratch / "work"
        (result / "bin").mkdir(parents=True)
        work.mkdir()
        golang.build(go, module, result / "bin", work, on_package)
        stage.update(completed=total, total=total, detail="storing")
        if "kube" in module.binaries:
            (result / "bin" / "kubectl").symlink_to("kube")
        for source, folder, destination in module.shared:
            # copyfile: files of the module cache are read-only, ours must be removable and readable by all
            into = result / "share" / destination
            into.mkdir(parents=True)
            for path in sorted((go.module_folder(module.directory, source) / folder).glob("*.yaml")):
                shutil.copyfile(path, into / path.name)
        for source, inside, destination in module.trees:
            _copy_tree(go.module_folder(module.directory, source) / inside, result / "share" / destination)
        cache.publish(result, entry)
    stage.result(f"{compiled} packages compiled")


def _copy_tree(source: Path, target: Path) -> None:
    """The folder (or one file) `source` as `target`, writable: files of the module cache are not."""
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file():
            into = target / path.relative_to(source) if source.is_dir() else target
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into)
