"""From an empty machine to a running cluster that holds the images, and an engine to deploy with.

What does not depend on each other runs side by side: the toolchain compiles while Python packages and the image, which
are downloads and copies, are made, and the cluster starts as soon as its own programs are there.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local import choose, cluster, environment, prerequisites
from local.cluster.handle import Cluster
from local.engine.environment import engine_environment
from local.environment import CHECKOUT
from local.errors import MantaError
from local.image import build, load, record
from local.image.build import Image
from local.image.oci import Layout
from local.monitoring import images as monitoring_images
from local.monitoring import switch
from local.parallel import Together
from local.progress import Reporter
from local.settings import LocalSettings
from local.toolchain import golang, modules
from local.toolchain.build import Toolchain, ensure_module
from local.up.stack import Engine


@dataclass(frozen=True)
class Machine:
    """`cluster` is None when the user's own cluster is deployed to."""

    engine: Engine
    toolchain: Toolchain
    cluster: Cluster | None


def ensure(settings: LocalSettings, report: Reporter, monitoring: str = "") -> Machine:
    """Bring everything below the stacks up; quick when it is up already. Raises MantaError.

    `monitoring`: 1 switches it on, 0 off, empty leaves it as it is.
    """
    watched = switch.wanted(settings, monitoring)
    chosen_cluster, chosen_engine = choose.choose_cluster(settings), choose.choose_engine(settings)
    report.note(f"cluster: {chosen_cluster.reason}")
    report.note(f"engine: {chosen_engine.reason}")
    prerequisites.ensure(settings, report, chosen_cluster, chosen_engine)
    go = golang.find()
    if go is None:
        raise MantaError("Go is not installed: install it from https://go.dev/dl and put its bin folder on PATH")
    ours: Cluster | None = None
    with Together() as together:
        packages = together.start(partial(environment.ensure_environment, settings, report))
        image = together.start(partial(_payload_image, settings, report, packages)) if chosen_cluster.own else None
        bin_dir = ensure_module(modules.cluster(), go, settings, report) / "bin"
        engine_tools = together.start(
            partial(_pulumi, chosen_engine.pulumi, partial(ensure_module, modules.pulumi(), go, settings, report))
        )
        toolchain = Toolchain(bin_dir, Path("pulumi"))
        if image is not None:
            ours = cluster.up(settings, toolchain, report)
            monitoring_tools = _monitoring(partial(ensure_module, go=go, settings=settings, progress=report), watched)
            _give_images(settings, ours, toolchain, image, report, monitoring_tools)
            switch.remember(settings, monitoring_tools[0] if monitoring_tools else None)
        packages.result()
        if not chosen_cluster.own:
            record.demand(chosen_cluster.kubeconfig)
        toolchain = Toolchain(bin_dir, engine_tools.result())
    variables = engine_environment(settings, toolchain, kubeconfig=chosen_cluster.kubeconfig)
    return Machine(Engine(toolchain.pulumi, variables, CHECKOUT), toolchain, ours)


def _pulumi(official: Path | None, ours: partial[Path]) -> Path:
    return official or ours() / "bin" / "pulumi"


def _monitoring(ensured: partial[Path], watched: bool) -> tuple[Path, Path] | None:
    """The toolchain's folders for the operator and for Prometheus; None where nothing is monitored."""
    return (ensured(modules.monitoring()), ensured(modules.prometheus())) if watched else None


def _payload_image(settings: LocalSettings, report: Reporter, packages: Future[None]) -> tuple[Image, Layout | None]:
    packages.result()  # first the packages: the image then finds them in uv's cache, and nothing is fetched twice
    image = build.ray(settings)
    return image, build.ensure(settings, image, report)


def _give_images(
    settings: LocalSettings,
    ours: Cluster,
    toolchain: Toolchain,
    payload: Future[tuple[Image, Layout | None]],
    report: Reporter,
    monitoring: tuple[Path, Path] | None,
) -> None:
    references: dict[str, str] = {}
    further = monitoring_images.images(*monitoring) if monitoring else ()
    for image in (*build.programs(toolchain), *further):
        layout = build.ensure(settings, image, report)
        references[image.short_name] = load.load(settings, ours, image, layout, report)
    image, layout = payload.result()
    references[image.short_name] = load.load(settings, ours, image, layout, report)
    record.record(settings.kubeconfig, references)
