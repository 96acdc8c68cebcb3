"""A training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from infra import contract
from infra.layers.cluster import options
from infra.layers.waiting import exists, in_background, unknown
from infra.ray import bundle, capacity, cluster, job, naming, rules, schedule
from infra.ray.cluster_api import KubernetesApi
from infra.ray.specs import ClusterSpec
from infra.ray.wait import Wanted, wait_for_run
from infra.settings import TrainSettings
from infra.stack import StackName


async def build(stack: StackName, settings: TrainSettings, project: Path) -> dict[str, Any]:
    """Bundle and RayJob, checked before either is sent; then, by choice, the run's end and result.

    With a schedule the RayJob is what runs are made of, and the stack is up when they can be.
    """
    capacity.check_training(settings, str(stack))
    code = bundle.build(project / settings.bundle)
    bundle.check_module(code, settings.entrypoint, "entrypoint", str(stack))
    platform = await contract.read(stack)
    spec = job_spec(stack, settings, platform, code.hash)
    manifest = job.job_manifest(spec)
    rules.check(manifest)
    around = spec.cluster.around
    config_map = job.bundle_manifest(
        naming.bundle_name(str(stack), code.hash),
        around.namespace,
        code.encoded,
        cluster.labels(str(stack), spec.name),
    )
    if settings.schedule:
        wanted = schedule.ScheduleSpec(spec, settings.schedule)
        made = schedule.schedule_manifests(wanted)
        schedule.ScheduledRuns("runs", manifest, config_map, made, options(platform))
        return {"schedule": wanted.title, "namespace": around.namespace, "bundle": code.hash}
    run = job.Run("run", manifest, config_map, options(platform))
    outputs: dict[str, Any] = {"run": spec.name, "namespace": around.namespace, "bundle": code.hash}
    if settings.wait:
        outputs["result"] = await _result(stack, settings, spec, run, platform.kubeconfig)
    return outputs


def run_of(stack: StackName, settings: TrainSettings) -> str:
    """A stack of its own names its run; otherwise the stack file does."""
    return stack.run or settings.run


def job_spec(stack: StackName, settings: TrainSettings, platform: contract.Contract, code: str) -> job.JobSpec:
    """Settings and contract joined. A run is its name, code, image and parameters, and is called by their hash.

    Those of a schedule are called by their time.
    """
    image = settings.image or platform.image
    name = run_of(stack, settings)
    if not settings.schedule:
        name = naming.run_name(name, code, image, settings.parameters)
    trainer = settings.trainer
    flags = {
        "run_name": name,
        "num_workers": settings.training_workers,
        "cpus_per_worker": trainer.cpus_per_worker,
        "gpus_per_worker": trainer.gpus_per_worker,
        **settings.parameters,
    }
    return job.JobSpec(
        name=name,
        cluster=ClusterSpec(
            stack=str(stack),
            run=name,
            image=image,
            ray_version=platform.ray_version,
            head=settings.head,
            workers=settings.workers,
            preemption=settings.preemption,
            around=platform.surroundings(),
            bundle_config_map=naming.bundle_name(str(stack), code),
            bundle_hash=code,
            environment=settings.environment,
        ),
        entrypoint=job.entrypoint(settings.entrypoint, flags),
        deadline_seconds=settings.deadline_seconds,
        retries=settings.retries,
        ttl_seconds=settings.ttl_seconds,
        template=settings.schedule is not None,
    )


async def _result(stack: StackName, settings: TrainSettings, spec: job.JobSpec, run: job.Run, kubeconfig: str) -> Any:
    if pulumi.runtime.is_dry_run():
        return unknown()
    await exists(run.job)
    wanted = Wanted(
        name=spec.name,
        stack=str(stack),
        attempts=settings.retries + 1,
        deadline_seconds=settings.deadline_seconds,
    )
    namespace = spec.cluster.around.namespace
    return await in_background(lambda say: wait_for_run(KubernetesApi(namespace, kubeconfig), wanted, say), run.job)
