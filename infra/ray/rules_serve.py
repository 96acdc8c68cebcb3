"""What Ray Serve 2.60 drops from a serveConfigV2 without a word, or refuses only once the cluster runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

from infra.plain import entries, section

# The fields of ray.serve.schema's models. Importing Ray here would cost every `pulumi up` seconds and memory; a test
# compares them with the installed Ray.
TOP_LEVEL = frozenset({
    "applications", "controller_options", "grpc_options", "http_options", "logging_config", "proxy_location",
    "target_capacity", "tracing_config",
})  # fmt: skip
APPLICATION = frozenset({
    "args", "autoscaling_policy", "deployments", "external_scaler_enabled", "host", "import_path", "logging_config",
    "name", "port", "route_prefix", "runtime_env",
})  # fmt: skip
DEPLOYMENT = frozenset({
    "autoscaling_config", "backpressure_config", "deployment_actors", "gang_scheduling_config",
    "graceful_shutdown_timeout_s", "graceful_shutdown_wait_loop_s", "health_check_period_s", "health_check_timeout_s",
    "logging_config", "max_ongoing_requests", "max_queued_requests", "max_replicas_per_node", "max_surge_percent",
    "name", "num_replicas", "placement_group_bundle_label_selector", "placement_group_bundles",
    "placement_group_strategy", "ray_actor_options", "request_router_config", "rolling_update_percentage",
    "user_config",
})  # fmt: skip
AUTOSCALING = frozenset({
    "aggregation_function", "downscale_delay_s", "downscale_smoothing_factor", "downscale_to_zero_delay_s",
    "downscaling_factor", "initial_replicas", "look_back_period_s", "max_replicas", "metrics_interval_s",
    "min_replicas", "policy", "smoothing_factor", "target_ongoing_requests", "upscale_delay_s",
    "upscale_smoothing_factor", "upscaling_factor",
})  # fmt: skip


def serve_problems(text: str) -> Iterator[str]:
    """Problems of a serveConfigV2 as YAML text."""
    try:
        config: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        yield "serveConfigV2 is no YAML"
        return
    if not isinstance(config, dict) or not config.get("applications"):
        yield "serveConfigV2 has no applications"
        return
    config = cast(dict[str, Any], config)
    yield from _unknown("serveConfigV2", config, TOP_LEVEL)
    for application in entries(config, "applications"):
        name = f"application {application.get('name', 'default')}"
        yield from _unknown(name, application, APPLICATION)
        working_dir = str(section(application, "runtime_env").get("working_dir", "://"))
        if "://" not in working_dir:
            yield f"{name}: runtime_env.working_dir {working_dir} is a local path, and Serve takes only a URI"
        for deployment in entries(application, "deployments"):
            yield from _deployment_problems(f"{name}, deployment {deployment.get('name')}", deployment)


def _deployment_problems(where: str, deployment: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(where, deployment, DEPLOYMENT)
    scaling = deployment.get("autoscaling_config")
    if scaling and isinstance(deployment.get("num_replicas"), int):
        yield f"{where}: num_replicas and autoscaling_config exclude each other"
    if isinstance(scaling, dict):
        yield from _unknown(f"{where}, autoscaling_config", cast(dict[str, Any], scaling), AUTOSCALING)
    if deployment.get("max_replicas_per_node") and deployment.get("placement_group_bundles"):
        yield f"{where}: max_replicas_per_node and placement_group_bundles exclude each other"


def _unknown(where: str, given: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "Ray would drop it without a word"
            yield f"{where}: {key} is no setting of Ray Serve ({hint})"
