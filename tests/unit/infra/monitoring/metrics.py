"""Which metrics no real Ray here can show, and where they are defined: they need a GPU, AWS or a failure."""

from __future__ import annotations

# All others that rules and dashboards ask for are found in a real scrape by tests/payloads/live/test_serving.py (Ray's)
# and tests/monitoring (KubeRay's and Prometheus' own).
ELSEWHERE = {
    # A GPU, by Ray's reporter: ray/dashboard/modules/reporter/reporter_agent.py.
    "ray_node_gpus_utilization": "ray 2.60.0, reporter_agent.py",
    "ray_node_gpu_temperature_celsius": "ray 2.60.0, reporter_agent.py",
    # A failure that Ray itself counts: ray/dashboard/modules/metrics/dashboards/default_dashboard_panels.py and
    # src/ray/gcs/gcs_server (its binary holds the name).
    "ray_memory_manager_worker_eviction_total": "ray 2.60.0, default_dashboard_panels.py",
    "ray_node_failure_total": "ray 2.60.0, gcs_server",
    # Karpenter 1.14.1: pkg/metrics, pkg/cloudprovider/metrics and pkg/controllers/metrics/nodepool of its core, and
    # pkg/controllers/interruption of karpenter-provider-aws.
    "karpenter_cloudprovider_errors_total": "karpenter 1.14.1, cloudprovider/metrics",
    "karpenter_interruption_received_messages_total": "karpenter-provider-aws 1.14.1, controllers/interruption",
    "karpenter_nodeclaims_created_total": "karpenter 1.14.1, pkg/metrics",
    "karpenter_nodeclaims_disrupted_total": "karpenter 1.14.1, pkg/metrics",
    "karpenter_nodepools_cost_total": "karpenter 1.14.1, controllers/metrics/nodepool",
    "karpenter_nodepools_limit": "karpenter 1.14.1, controllers/metrics/nodepool",
    "karpenter_nodepools_usage": "karpenter 1.14.1, controllers/metrics/nodepool",
    # kube-state-metrics, which the official chart brings: docs/metrics of its repository.
    "kube_deployment_status_replicas_available": "kube-state-metrics, deployment-metrics",
    "kube_node_status_condition": "kube-state-metrics, node-metrics",
    "kube_pod_container_status_last_terminated_reason": "kube-state-metrics, pod-metrics",
    "kube_pod_container_status_restarts_total": "kube-state-metrics, pod-metrics",
}
# KubeRay 1.6.2's own: ray-operator/controllers/ray/metrics. One is there once its resource is.
KUBERAY = {
    "kuberay_cluster_condition_provisioned",
    "kuberay_cluster_info",
    "kuberay_job_deployment_status",
    "kuberay_service_condition_ready",
    "kuberay_service_condition_upgrade_in_progress",
}
PROMETHEUS = {"prometheus_config_last_reload_successful", "prometheus_rule_evaluation_failures_total", "up"}
