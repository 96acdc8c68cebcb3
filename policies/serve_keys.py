"""The keys that Ray Serve reads. Importing Ray would add seconds to every preview; a test compares them with it."""

from __future__ import annotations

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
