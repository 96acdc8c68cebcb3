"""Alerts on Ray clusters, runs and model servers, from what Ray, Ray Serve and the KubeRay operator export."""

from __future__ import annotations

from infra.monitoring.rule import Alert, Group, Record

# KubeRay calls a cluster `name`, and the pods of it carry the label that Prometheus makes this of.
_CLUSTER = '"ray_io_cluster", "$1", "name", "(.*)"'
_PROVISIONED = f'label_replace(kuberay_cluster_condition_provisioned{{condition="true"}} == 1, {_CLUSTER})'

CORE = Group(
    "manta-ray",
    (
        Record(
            "cluster:ray_object_store_memory_used:ratio",
            "sum by (namespace, ray_io_cluster) (ray_object_store_used_memory) / "
            "sum by (namespace, ray_io_cluster) (ray_object_store_used_memory + ray_object_store_available_memory)",
        ),
        Record(
            "cluster:ray_node_mem_used:max_ratio",
            "max by (namespace, ray_io_cluster) (ray_node_mem_used / ray_node_mem_total)",
        ),
        Alert(
            "RayHeadDown",
            f'{_PROVISIONED} unless on (namespace, ray_io_cluster) (up{{job="ray-head", endpoint="metrics"}} == 1)',
            "The head of Ray cluster {{ $labels.ray_io_cluster }} has not answered for two minutes.",
            severity="critical",
            lasts="2m",
        ),
        Alert(
            "RayGcsLost",
            'up{job="ray-head", endpoint="metrics"} == 1 unless on (namespace, ray_io_cluster) ray_gcs_actors_count',
            "The head pod of {{ $labels.ray_io_cluster }} answers, but its control store (GCS) reports nothing.",
            severity="critical",
            lasts="3m",
        ),
        Alert(
            "RayNodeLost",
            "sum by (namespace, ray_io_cluster) (increase(ray_node_failure_total[10m])) > 0",
            "A node of {{ $labels.ray_io_cluster }} was lost without having been drained.",
        ),
        Alert(
            "RayWorkerCrashes",
            "sum by (namespace, ray_io_cluster) (increase(ray_node_manager_unexpected_worker_failure_total[10m])) > 3",
            "Worker processes of {{ $labels.ray_io_cluster }} keep ending unexpectedly.",
        ),
        Alert(
            "RayOutOfMemory",
            "sum by (namespace, ray_io_cluster, ray_io_node_type) "
            "(increase(ray_memory_manager_worker_eviction_total[10m])) > 0",
            "Ray ended workers of {{ $labels.ray_io_cluster }} because a node ran out of memory.",
        ),
        Alert(
            "RayMemoryNearlyFull",
            "cluster:ray_node_mem_used:max_ratio > 0.92",
            "A node of {{ $labels.ray_io_cluster }} uses {{ $value | humanizePercentage }} of its memory.",
            lasts="5m",
        ),
        Alert(
            "RayObjectStoreFull",
            "cluster:ray_object_store_memory_used:ratio > 0.9",
            "The object store of {{ $labels.ray_io_cluster }} is {{ $value | humanizePercentage }} full.",
            lasts="5m",
        ),
        Alert(
            "RayTasksWaitForCapacity",
            'sum by (namespace, ray_io_cluster) (ray_tasks{State="PENDING_NODE_ASSIGNMENT"}) > 0',
            "Tasks of {{ $labels.ray_io_cluster }} have waited for free resources for 15 minutes.",
            lasts="15m",
        ),
        Alert(
            "GpuIdle",
            "avg by (namespace, ray_io_cluster) (ray_node_gpus_utilization) < 5",
            "The GPUs of {{ $labels.ray_io_cluster }} have done nothing for half an hour, and cost money.",
            lasts="30m",
        ),
        Alert(
            "GpuHot",
            "max by (namespace, ray_io_cluster, instance) (ray_node_gpu_temperature_celsius) > 88",
            "A GPU of {{ $labels.instance }} is at {{ $value }} degrees Celsius.",
            lasts="5m",
        ),
    ),
)

_FAILED = 'kuberay_job_deployment_status{deployment_status=~"Failed|ValidationFailed"}'
RUNS = Group(
    "manta-runs",
    (
        Alert(
            "RunFailed",
            f"max by (namespace, name) ({_FAILED}) == 1 "
            f"unless on (namespace, name) max_over_time({_FAILED}[1d] offset 1h) == 1",
            "Run {{ $labels.name }} has failed within the last hour.",
        ),
        Alert(
            "RunWaitsForCapacity",
            'max by (namespace, name) (kuberay_job_deployment_status{deployment_status=~"Initializing|Waiting"}) == 1',
            "Run {{ $labels.name }} has not started for 20 minutes: its pods find no room.",
            lasts="20m",
        ),
        Alert(
            "TrainingStalled",
            "time() - max by (namespace, ray_io_cluster, run) (ray_manta_training_report_timestamp_seconds) > 1800",
            "Run {{ $labels.run }} has finished no epoch for half an hour.",
        ),
        Alert(
            "CheckpointOld",
            "time() - max by (namespace, ray_io_cluster, run) "
            "(ray_manta_training_checkpoint_timestamp_seconds > 0) > 3600",
            "The newest checkpoint of {{ $labels.run }} is over an hour old: an interruption now costs that hour.",
        ),
    ),
)

_REQUESTS = "sum by (namespace, manta_stack) (rate(ray_serve_num_http_requests_total[{window}]))"
_ERRORS = (
    'sum by (namespace, manta_stack) (rate(ray_serve_num_http_error_requests_total{{error_code=~"5.."}}[{window}]))'
)
# Of the requests of 30 days 99.9 % shall succeed. Burning 14.4 times as fast uses 2 % of the budget in an hour, six
# times as fast 5 % in six hours: the pairs of windows of Google's SRE workbook, chapter 5.
OBJECTIVE = 0.001


def _ratio(window: str) -> Record:
    # Without errors there is no series of errors: the requests times zero take its place.
    errors = f"({_ERRORS.format(window=window)} or {_REQUESTS.format(window=window)} * 0)"
    return Record(f"stack:serve_errors:ratio_rate{window}", f"{errors} / {_REQUESTS.format(window=window)}")


def _burn(name: str, factor: float, windows: tuple[str, str], severity: str, lasts: str, summary: str) -> Alert:
    level = f"{factor * OBJECTIVE:g}"
    long, short = (f"stack:serve_errors:ratio_rate{window}" for window in windows)
    return Alert(
        name,
        f"{long} > {level} and {short} > {level}",
        summary,
        severity="critical" if severity == "critical" else "warning",
        lasts=lasts,
    )


SERVING = Group(
    "manta-serving",
    (
        *(_ratio(window) for window in ("5m", "30m", "1h", "6h")),
        Record(
            "stack:serve_latency_ms:p99_5m",
            "histogram_quantile(0.99, sum by (namespace, manta_stack, le) "
            "(rate(ray_serve_http_request_latency_ms_bucket[5m])))",
        ),
        _burn(
            "ServeErrorsFast", 14.4, ("1h", "5m"), "critical", "2m",
            "{{ $labels.manta_stack }} fails so many requests that the month's budget is gone in two days.",
        ),
        _burn(
            "ServeErrorsSlow", 6, ("6h", "30m"), "warning", "15m",
            "{{ $labels.manta_stack }} fails so many requests that the month's budget is gone in five days.",
        ),
        Alert(
            "ServeSlow",
            "stack:serve_latency_ms:p99_5m > 1000",
            "One request in a hundred to {{ $labels.manta_stack }} takes {{ $value | humanize }} ms.",
            lasts="10m",
        ),
        Alert(
            "ServeReplicasFlapping",
            "sum by (namespace, manta_stack, deployment) "
            "(increase(ray_serve_deployment_replica_starts_total[15m])) > 5",
            "Replicas of {{ $labels.deployment }} were started {{ $value | humanize }} times in 15 minutes.",
        ),
        Alert(
            "ServeQueueGrowing",
            "sum by (namespace, manta_stack) (ray_serve_num_ongoing_http_requests) > 500 and "
            "sum by (namespace, manta_stack) (deriv(ray_serve_num_ongoing_http_requests[10m])) > 0",
            "{{ $value }} requests wait in {{ $labels.manta_stack }}, and they become more.",
            lasts="5m",
        ),
        Alert(
            "ServeNotReady",
            'max by (namespace, name) (kuberay_service_condition_ready{condition="true"}) == 0 or '
            'max by (namespace, name) (kuberay_service_condition_ready{condition="false"}) == 1',
            "Model server {{ $labels.name }} has not been ready for 15 minutes.",
            severity="critical",
            lasts="15m",
        ),
        Alert(
            "ServeRolloutStuck",
            'max by (namespace, name) (kuberay_service_condition_upgrade_in_progress{condition="true"}) == 1',
            "The rollout of {{ $labels.name }} has not ended for 30 minutes; the old version still serves.",
            lasts="30m",
        ),
    ),
)  # fmt: skip
