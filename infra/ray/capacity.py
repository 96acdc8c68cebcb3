"""Whether what is asked of a Ray cluster fits into it. Ray does not refuse what never fits: it waits."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import RuleError
from infra.settings import ServeSettings, TrainSettings


def check_training(settings: TrainSettings, stack: str) -> None:
    """Raise RuleError if the training workers leave no CPU, or find no place."""
    for problem in _training_problems(settings):
        raise RuleError(f"stack {stack}: {problem}")


def check_serving(settings: ServeSettings, stack: str) -> None:
    """Raise RuleError if the replicas find no place on the workers."""
    for problem in _serving_problems(settings):
        raise RuleError(f"stack {stack}: {problem}")


def _training_problems(settings: TrainSettings) -> Iterator[str]:
    workers, trainer, wanted = settings.workers, settings.trainer, settings.training_workers
    total = workers.most * workers.cpus
    used = wanted * trainer.cpus_per_worker
    fit = workers.cpus // trainer.cpus_per_worker
    if workers.gpus and trainer.gpus_per_worker:
        fit = min(fit, workers.gpus // trainer.gpus_per_worker)
    if fit * workers.most < wanted:
        yield (
            f"{wanted} training workers of {trainer.cpus_per_worker} CPUs and {trainer.gpus_per_worker} GPUs find no "
            f"place on {workers.most} Ray workers of {workers.cpus} and {workers.gpus}: raise workers.cpus or lower "
            "trainer.workers"
        )
    elif used >= total:
        # Ray Data gets what training leaves. With nothing left the run hangs for half an hour, saying only that it is
        # backpressured.
        yield (
            f"training workers take {used} of the {total} CPUs and leave none to Ray Data, which would hang: raise "
            f"workers.cpus above {workers.cpus} or lower trainer.cpusPerWorker"
        )


def _serving_problems(settings: ServeSettings) -> Iterator[str]:
    deployments = [deployment for app in settings.applications for deployment in app.deployments]
    workers = settings.workers
    cpus = sum(deployment.least_replicas * deployment.cpus for deployment in deployments)
    gpus = sum(deployment.least_replicas * deployment.gpus for deployment in deployments)
    if cpus > workers.most * workers.cpus or gpus > workers.most * workers.gpus:
        yield (
            f"the replicas want {cpus:g} CPUs and {gpus:g} GPUs, and {workers.most} Ray workers have "
            f"{workers.most * workers.cpus} and {workers.most * workers.gpus}: raise workers or lower replicas"
        )
    for deployment in deployments:
        most = (deployment.max_replicas_per_node or deployment.least_replicas) * workers.most
        if deployment.least_replicas > most:
            yield (
                f"deployment {deployment.name}: {deployment.least_replicas} replicas find no place on {workers.most} "
                f"workers with maxReplicasPerNode {deployment.max_replicas_per_node}"
            )
        if deployment.cpus > workers.cpus or deployment.gpus > workers.gpus:
            yield (
                f"deployment {deployment.name}: a replica wants {deployment.cpus:g} CPUs and {deployment.gpus:g} GPUs, "
                f"more than a worker's {workers.cpus} and {workers.gpus}"
            )
    if settings.disruption.min_available > workers.least:
        yield (
            f"disruption.minAvailable {settings.disruption.min_available} is more than the {workers.least} workers: no "
            "node could ever be drained"
        )
