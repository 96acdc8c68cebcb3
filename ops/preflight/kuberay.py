"""What KubeRay would refuse, or take and get wrong, of the manifest that a stack would send."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra import contract
from infra.errors import MantaError as ProgramError
from infra.layers.serve import service_spec
from infra.layers.train import job_spec
from infra.layers.workbench import workbench_spec
from infra.ray import bundle, capacity, job, rules, service, workbench
from infra.settings import ServeSettings, TrainSettings, WorkbenchSettings
from infra.stack import StackName
from local.errors import MantaError
from ops.preflight.outcome import Outcome
from ops.runs import stacks

Ray = TrainSettings | ServeSettings | WorkbenchSettings


def check(name: str, settings: Ray, project: Path) -> Iterator[Outcome]:
    """Judged with what the platform's stack offers now; unknown where that cannot be read."""
    stack = StackName.parse(name)
    try:
        platform = contract.from_output(stacks.outputs(stack.platform).get(contract.OUTPUT), stack)
    except (MantaError, ProgramError) as error:
        reason = error.sentence if isinstance(error, MantaError) else str(error)
        yield Outcome("KubeRay", "unknown", reason)
        return
    yield from judge(stack, settings, platform, project)


def judge(stack: StackName, settings: Ray, platform: contract.Contract, project: Path) -> Iterator[Outcome]:
    """One failure for each problem; `project` is the folder that holds the code of the payloads."""
    try:
        found = rules.problems(_manifest(stack, settings, platform, project))
    except ProgramError as error:
        found = [str(error)]
    for problem in found:
        yield Outcome("KubeRay", "failed", problem)
    if not found:
        yield Outcome("KubeRay", "ok", "nothing that it would refuse or get wrong")


def _manifest(stack: StackName, settings: Ray, platform: contract.Contract, project: Path) -> rules.Manifest:
    if isinstance(settings, WorkbenchSettings):
        return workbench.workbench_manifest(workbench_spec(stack, settings, platform))
    if isinstance(settings, TrainSettings):
        capacity.check_training(settings, str(stack))
        code = bundle.build(project / settings.bundle)
        bundle.check_module(code, settings.entrypoint, "entrypoint", str(stack))
        return job.job_manifest(job_spec(stack, settings, platform, code.hash))
    capacity.check_serving(settings, str(stack))
    code = bundle.build(project / settings.bundle)
    return service.service_manifest(service_spec(stack, settings, platform, code.hash))
