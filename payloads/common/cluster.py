"""The Ray cluster that a driver works on."""

from __future__ import annotations

import json
import logging
import os

import ray
import ray.data


def start_ray() -> None:
    """Join the cluster that the job runs on (RAY_ADDRESS), or start one in this process's name.

    Worker output stays in Ray's own logs: copied to the driver's, it would bury the progress lines. What makes a
    worker fail comes back in the exception.
    """
    if not ray.is_initialized():
        ray.init(log_to_driver=False, logging_level="warning")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Blocks in the order of the files and not of the tasks that end first: the same run trains on the same batches.
    context.execution_options.preserve_order = True
    for noisy in ("ray.data", "ray.train"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def job_id() -> str:
    """The submission id that `ray job` and KubeRay know the job by; Ray's own number for a job started by hand."""
    config = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    return config.get("metadata", {}).get("job_submission_id") or ray.get_runtime_context().get_job_id()
