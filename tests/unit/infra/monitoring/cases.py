"""When each alert fires and when it does not, as series that Prometheus' own promtool evaluates."""

from __future__ import annotations

from dataclasses import dataclass, field

MINUTE = 60
RAY = 'namespace="ray", ray_io_cluster="digits-x7"'
STACK = 'namespace="ray", manta_stack="serve-local"'
RUN = f'{RAY}, run="digits"'
JOB = 'namespace="ray", name="digits-1f"'
SERVICE = 'namespace="ray", name="digits"'


@dataclass(frozen=True)
class Case:
    """At `minutes` after the start `alert` fires for `fires` sets of labels. Values are one a minute, in promtool's
    notation (`0x30` is thirty-one zeros, `0+5x30` grows by five)."""

    alert: str
    fires: int
    minutes: int
    series: dict[str, str] = field(default_factory=dict)


def up(job: str, values: str, endpoint: str = "metrics") -> dict[str, str]:
    labels = f"{RAY}, " if job.startswith("ray") else ""
    return {f'up{{{labels}job="{job}", endpoint="{endpoint}", instance="10.0.0.1:8080"}}': values}


def requests(good: str, bad: str, code: str = "500") -> dict[str, str]:
    return {
        f'ray_serve_num_http_requests_total{{{STACK}, status_code="200"}}': good,
        f'ray_serve_num_http_requests_total{{{STACK}, status_code="{code}"}}': bad,
        f'ray_serve_num_http_error_requests_total{{{STACK}, error_code="{code}"}}': bad,
    }


def latencies(within: str, beyond: str) -> dict[str, str]:
    """Requests of up to 500 ms, and of up to 2 s."""
    name = "ray_serve_http_request_latency_ms_bucket"
    return {f'{name}{{{STACK}, le="500"}}': within, f'{name}{{{STACK}, le="2000"}}': beyond,
            f'{name}{{{STACK}, le="+Inf"}}': beyond}  # fmt: skip


PROVISIONED = {'kuberay_cluster_condition_provisioned{namespace="ray", name="digits-x7", condition="true"}': "1x60"}
GCS = f'ray_gcs_actors_count{{{RAY}, State="ALIVE"}}'
NOTHING_YET = 'kuberay_cluster_condition_provisioned{namespace="ray", name="digits-x7", condition="false"}'
FAILED = f'kuberay_job_deployment_status{{{JOB}, deployment_status="Failed"}}'
OBJECTS = "ray_object_store_{}_memory{{" + RAY + "}}"
NODE_READY = 'kube_node_status_condition{node="n1", condition="Ready", status="true"}'
KILLED = 'namespace="ray", pod="w-0", container="ray-worker"'
SPOT = 'karpenter_interruption_received_messages_total{message_type="spot_interrupted"}'

CASES = (
    Case("RayHeadDown", 1, 10, {**PROVISIONED, **up("ray-head", "1x3 0x20")}),
    Case("RayHeadDown", 1, 10, {**PROVISIONED, **up("ray-head", "1x3 stale")}),  # a pod that is gone is no target any more
    Case("RayHeadDown", 0, 10, {**PROVISIONED, **up("ray-head", "1x20")}),
    Case("RayHeadDown", 0, 10, {NOTHING_YET: "1x20"}),  # its pods start for the first time
    Case("RayHeadDown", 0, 4, {**PROVISIONED, **up("ray-head", "1x3 0x0 1x20")}),
    Case("RayGcsLost", 1, 20, {**up("ray-head", "1x30"), GCS: "2x5 stale"}),
    Case("RayGcsLost", 0, 20, {**up("ray-head", "1x30"), GCS: "2x30"}),
    Case("RayNodeLost", 1, 12, {f"ray_node_failure_total{{{RAY}}}": "0x5 1x20"}),
    Case("RayNodeLost", 0, 30, {f"ray_node_failure_total{{{RAY}}}": "1x40"}),
    Case("RayWorkerCrashes", 1, 12, {f"ray_node_manager_unexpected_worker_failure_total{{{RAY}}}": "0+1x20"}),
    Case("RayWorkerCrashes", 0, 12, {f"ray_node_manager_unexpected_worker_failure_total{{{RAY}}}": "0x5 1x20"}),
    Case("RayOutOfMemory", 1, 12, {f'ray_memory_manager_worker_eviction_total{{{RAY}, ray_io_node_type="worker"}}': "0x5 1x20"}),
    Case("RayOutOfMemory", 0, 30, {f'ray_memory_manager_worker_eviction_total{{{RAY}, ray_io_node_type="worker"}}': "3x40"}),
    Case("RayMemoryNearlyFull", 1, 10, {f"ray_node_mem_used{{{RAY}}}": "95x20", f"ray_node_mem_total{{{RAY}}}": "100x20"}),
    Case("RayMemoryNearlyFull", 0, 10, {f"ray_node_mem_used{{{RAY}}}": "90x20", f"ray_node_mem_total{{{RAY}}}": "100x20"}),
    Case("RayObjectStoreFull", 1, 10, {OBJECTS.format("used"): "95x20", OBJECTS.format("available"): "5x20"}),
    Case("RayObjectStoreFull", 0, 10, {OBJECTS.format("used"): "60x20", OBJECTS.format("available"): "40x20"}),
    Case("RayTasksWaitForCapacity", 1, 20, {f'ray_tasks{{{RAY}, State="PENDING_NODE_ASSIGNMENT"}}': "4x30"}),
    Case("RayTasksWaitForCapacity", 0, 20, {f'ray_tasks{{{RAY}, State="PENDING_NODE_ASSIGNMENT"}}': "4x10 0x20"}),
    Case("GpuIdle", 1, 40, {f"ray_node_gpus_utilization{{{RAY}}}": "0x60"}),
    Case("GpuIdle", 0, 40, {f"ray_node_gpus_utilization{{{RAY}}}": "0x20 70x40"}),
    Case("GpuIdle", 0, 40, {f"ray_node_cpu_utilization{{{RAY}}}": "0x60"}),  # a cluster without GPUs
    Case("GpuHot", 1, 10, {f'ray_node_gpu_temperature_celsius{{{RAY}, instance="10.0.0.1:8080"}}': "91x20"}),
    Case("GpuHot", 0, 10, {f'ray_node_gpu_temperature_celsius{{{RAY}, instance="10.0.0.1:8080"}}': "80x20"}),
    Case("RunFailed", 1, 30, {FAILED: "0x9 1x400"}),
    Case("RunFailed", 0, 180, {FAILED: "0x9 1x400"}),  # told once, not for as long as the RayJob is kept
    Case("RunFailed", 0, 30, {f'kuberay_job_deployment_status{{{JOB}, deployment_status="Complete"}}': "1x60"}),
    Case("RunWaitsForCapacity", 1, 30, {f'kuberay_job_deployment_status{{{JOB}, deployment_status="Initializing"}}': "1x60"}),
    Case("RunWaitsForCapacity", 0, 15, {f'kuberay_job_deployment_status{{{JOB}, deployment_status="Initializing"}}': "1x60"}),
    Case("RunWaitsForCapacity", 0, 60, {f'kuberay_job_deployment_status{{{JOB}, deployment_status="Running"}}': "1x90"}),
    Case("TrainingStalled", 1, 60, {f"ray_manta_training_report_timestamp_seconds{{{RUN}}}": "0+60x10 600x80"}),
    Case("TrainingStalled", 0, 60, {f"ray_manta_training_report_timestamp_seconds{{{RUN}}}": "0+60x80"}),
    Case("CheckpointOld", 1, 90, {f"ray_manta_training_checkpoint_timestamp_seconds{{{RUN}}}": "60x100"}),
    Case("CheckpointOld", 0, 90, {f"ray_manta_training_checkpoint_timestamp_seconds{{{RUN}}}": "0+60x100"}),
    Case("ServeErrorsFast", 1, 70, requests("0+980x80", "0+20x80")),
    Case("ServeErrorsFast", 0, 70, requests("0+999x80", "0+1x80")),
    Case("ServeErrorsFast", 0, 70, requests("0+500x80", "0+500x80", "422")),  # the clients' own mistakes
    Case("ServeErrorsFast", 0, 85, requests("0+980x90", "0+20x60 1200x30")),  # over for long enough
    Case("ServeErrorsSlow", 1, 400, requests("0+990x400", "0+10x400")),
    Case("ServeErrorsSlow", 0, 400, requests("0+998x400", "0+2x400")),
    Case("ServeSlow", 1, 20, latencies("0+60x30", "0+100x30")),
    Case("ServeSlow", 0, 20, latencies("0+100x30", "0+100x30")),
    Case("ServeReplicasFlapping", 1, 16, {f'ray_serve_deployment_replica_starts_total{{{STACK}, deployment="classifier"}}': "2+1x30"}),
    Case("ServeReplicasFlapping", 0, 16, {f'ray_serve_deployment_replica_starts_total{{{STACK}, deployment="classifier"}}': "0x3 2x30"}),
    Case("ServeQueueGrowing", 1, 20, {f"ray_serve_num_ongoing_http_requests{{{STACK}}}": "500+20x40"}),
    Case("ServeQueueGrowing", 0, 20, {f"ray_serve_num_ongoing_http_requests{{{STACK}}}": "900-20x40"}),
    Case("ServeQueueGrowing", 0, 20, {f"ray_serve_num_ongoing_http_requests{{{STACK}}}": "10+1x40"}),
    Case("ServeNotReady", 1, 20, {f'kuberay_service_condition_ready{{{SERVICE}, condition="false"}}': "1x40"}),
    Case("ServeNotReady", 0, 20, {f'kuberay_service_condition_ready{{{SERVICE}, condition="true"}}': "1x40"}),
    Case("ServeRolloutStuck", 1, 40, {f'kuberay_service_condition_upgrade_in_progress{{{SERVICE}, condition="true"}}': "1x60"}),
    Case("ServeRolloutStuck", 0, 40, {f'kuberay_service_condition_upgrade_in_progress{{{SERVICE}, condition="true"}}': "1x10 stale"}),
    Case("KubeRayOperatorDown", 1, 10, {}),
    Case("KubeRayOperatorDown", 1, 20, up("kuberay-operator", "1x5 0x20")),
    Case("KubeRayOperatorDown", 0, 20, up("kuberay-operator", "1x40")),
    Case("TargetDown", 1, 15, up("mlflow", "0x40")),
    Case("TargetDown", 0, 15, up("mlflow", "1x40")),
    Case("TargetDown", 0, 15, up("ray-worker", "0x40")),  # workers come and go
    Case("PrometheusRuleFails", 1, 10, {'prometheus_rule_evaluation_failures_total{rule_group="manta-ray"}': "0+1x20"}),
    Case("PrometheusRuleFails", 0, 30, {'prometheus_rule_evaluation_failures_total{rule_group="manta-ray"}': "5x40"}),
    Case("PrometheusReloadFailed", 1, 15, {"prometheus_config_last_reload_successful": "0x40"}),
    Case("PrometheusReloadFailed", 0, 15, {"prometheus_config_last_reload_successful": "1x40"}),
    Case("Watchdog", 1, 1, {}),
    Case("KarpenterDown", 1, 10, {}),
    Case("KarpenterDown", 0, 10, up("karpenter", "1x40", "http-metrics")),
    Case("CapacityAtLimit", 1, 20, {'karpenter_nodepools_usage{nodepool="gpu-spot", resource_type="nvidia.com/gpu"}': "8x40",
                                    'karpenter_nodepools_limit{nodepool="gpu-spot", resource_type="nvidia.com/gpu"}': "8x40"}),
    Case("CapacityAtLimit", 0, 20, {'karpenter_nodepools_usage{nodepool="gpu-spot", resource_type="nvidia.com/gpu"}': "4x40",
                                    'karpenter_nodepools_limit{nodepool="gpu-spot", resource_type="nvidia.com/gpu"}': "8x40"}),
    Case("NodeClaimsFail", 1, 12, {'karpenter_cloudprovider_errors_total{provider="aws", error="InsufficientCapacityError"}': "0+1x20"}),
    Case("NodeClaimsFail", 0, 12, {'karpenter_cloudprovider_errors_total{provider="aws", error="NodeClaimNotFoundError"}': "0+1x20"}),
    Case("NodeClaimsStopBeforeReady", 1, 12, {'karpenter_nodeclaims_disrupted_total{nodepool="gpu-spot", reason="registration_timeout"}': "0x5 1x20"}),
    Case("NodeClaimsStopBeforeReady", 0, 12, {'karpenter_nodeclaims_disrupted_total{nodepool="gpu-spot", reason="underutilized"}': "0x5 1x20"}),
    Case("SpotInterruptionsFrequent", 1, 50, {SPOT: "0x5 0+1x50"}),
    Case("SpotInterruptionsFrequent", 0, 50, {SPOT: "0x5 2x50"}),
    Case("FallbackToOnDemand", 1, 12, {'karpenter_nodeclaims_created_total{nodepool="gpu-on-demand"}': "0x5 1x20"}),
    Case("FallbackToOnDemand", 0, 12, {'karpenter_nodeclaims_created_total{nodepool="gpu-spot"}': "0x5 1x20"}),
    Case("NodeNotReady", 1, 15, {NODE_READY: "0x40"}),
    Case("NodeNotReady", 0, 15, {NODE_READY: "1x40"}),
    Case("PodOutOfMemory", 1, 10, {f'kube_pod_container_status_last_terminated_reason{{{KILLED}, reason="OOMKilled"}}': "1x40",
                                   f"kube_pod_container_status_restarts_total{{{KILLED}}}": "0x5 1x40"}),
    Case("PodOutOfMemory", 0, 30, {f'kube_pod_container_status_last_terminated_reason{{{KILLED}, reason="OOMKilled"}}': "1x40",
                                   f"kube_pod_container_status_restarts_total{{{KILLED}}}": "1x40"}),
    Case("ServerUnavailable", 1, 10, {'kube_deployment_status_replicas_available{namespace="manta-system", deployment="mlflow"}': "0x40"}),
    Case("ServerUnavailable", 0, 10, {'kube_deployment_status_replicas_available{namespace="manta-system", deployment="mlflow"}': "1x40"}),
)  # fmt: skip
