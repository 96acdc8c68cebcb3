"""`serveConfigV2` from typed settings. Ray drops unknown keys without a word, so nothing else may write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from infra.settings.serve import Application, Deployment

PORT = 8000


def serve_config(applications: list[Application], runtime_env: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The config as Ray's ServeDeploySchema reads it; `runtime_env` goes to every application."""
    return {
        "proxy_location": "EveryNode",
        "applications": [_application(application, runtime_env) for application in applications],
    }


def render(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False)


def _application(application: Application, runtime_env: Mapping[str, Any] | None) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "name": application.name,
        "route_prefix": application.route_prefix,
        "import_path": application.import_path,
    }
    if application.args:
        rendered["args"] = application.args
    if runtime_env:
        rendered["runtime_env"] = dict(runtime_env)
    rendered["deployments"] = [_deployment(deployment) for deployment in application.deployments]
    return rendered


def _deployment(deployment: Deployment) -> dict[str, Any]:
    rendered: dict[str, Any] = {"name": deployment.name}
    if scaling := deployment.autoscaling:
        rendered["autoscaling_config"] = {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": scaling.target_ongoing_requests,
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
        }
    else:
        rendered["num_replicas"] = deployment.replicas or 1
    rendered |= {
        "max_ongoing_requests": deployment.max_ongoing_requests,
        "max_queued_requests": deployment.max_queued_requests,
        "graceful_shutdown_wait_loop_s": deployment.graceful_shutdown_wait_loop_s,
        "graceful_shutdown_timeout_s": deployment.graceful_shutdown_timeout_s,
        "health_check_period_s": deployment.health_check_period_s,
        "health_check_timeout_s": deployment.health_check_timeout_s,
        "ray_actor_options": {"num_cpus": deployment.cpus, "num_gpus": deployment.gpus},
    }
    if deployment.max_replicas_per_node:
        rendered["max_replicas_per_node"] = deployment.max_replicas_per_node
    if deployment.user_config:
        rendered["user_config"] = deployment.user_config
    return rendered
