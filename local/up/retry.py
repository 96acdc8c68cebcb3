"""A run that failed is tried again by the next `make up`.

A RayJob that has ended stays as it ended, and to the engine it is unchanged: without being told to replace it, every
later `pulumi up` would report the same failure. The new RayJob has the same name, so that it resumes from the run's
checkpoints.
"""

from __future__ import annotations

import json
import subprocess

from local.errors import MantaError
from local.up.stack import Engine

NAMESPACE = "ray"
STACK_LABEL = "manta/stack"
RAY_JOB_TYPE = "kubernetes:ray.io/v1:RayJob"
_ENDED_BADLY = ("Failed", "ValidationFailed")


def failed_runs(engine: Engine, stack: str) -> list[str]:
    """Names of the RayJobs of `stack` that have failed; empty where there is neither a run nor KubeRay.

    Those that a schedule has made are left to it.
    """
    command = ["kubectl", "get", "rayjobs.ray.io", "--namespace", NAMESPACE, "--selector", f"{STACK_LABEL}={stack}"]
    found = subprocess.run(
        [*command, "--output", "json"],
        env=dict(engine.environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        return []
    jobs = json.loads(found.stdout)["items"]
    return [
        job["metadata"]["name"]
        for job in jobs
        if job.get("status", {}).get("jobDeploymentStatus") in _ENDED_BADLY
        and not job["metadata"].get("ownerReferences")
    ]


def job_urns(engine: Engine, stack: str) -> list[str]:
    """URNs of the RayJobs in the state of `stack`; raises MantaError when the state cannot be read."""
    exported = subprocess.run(
        engine.command("stack", "export", "--stack", stack),
        cwd=engine.project, env=dict(engine.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if exported.returncode:
        raise MantaError(
            f"the state of stack {stack} cannot be read: run `pulumi stack export -s {stack}` to see why",
            detail=exported.stderr,
        )
    resources = json.loads(exported.stdout)["deployment"].get("resources", [])
    return [resource["urn"] for resource in resources if resource["type"] == RAY_JOB_TYPE]
