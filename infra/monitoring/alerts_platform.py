"""Alerts on what everything stands on: operators, Prometheus itself and, on AWS, capacity."""

from __future__ import annotations

from infra.monitoring.rule import Alert, Group, Record

PLATFORM = Group(
    "manta-platform",
    (
        Alert(
            "KubeRayOperatorDown",
            'absent(up{job="kuberay-operator"} == 1)',
            "The KubeRay operator has not answered for five minutes: runs go on, but none starts or is mended.",
            severity="critical",
            lasts="5m",
        ),
        Alert(
            "TargetDown",
            'up{job!~"ray-.*"} == 0',
            "Prometheus has not reached {{ $labels.job }} at {{ $labels.instance }} for ten minutes.",
            lasts="10m",
        ),
        Alert(
            "PrometheusRuleFails",
            "sum by (rule_group) (increase(prometheus_rule_evaluation_failures_total[15m])) > 0",
            "Prometheus cannot evaluate {{ $labels.rule_group }}: its alerts would not fire.",
        ),
        Alert(
            "PrometheusReloadFailed",
            "prometheus_config_last_reload_successful == 0",
            "Prometheus refuses its newest configuration and goes on with the one before it.",
            lasts="10m",
        ),
        # Always firing: what receives alerts raises its own alarm when this one stops coming.
        Alert("Watchdog", "vector(1)", "Alerts arrive: this one always fires.", labels={"purpose": "heartbeat"}),
    ),
)

CAPACITY = Group(
    "manta-capacity",
    (
        Record(
            "nodepool:karpenter_limit_used:ratio",
            "karpenter_nodepools_usage / on (nodepool, resource_type) group_left () (karpenter_nodepools_limit > 0)",
        ),
        Alert(
            "KarpenterDown",
            'absent(up{job="karpenter"} == 1)',
            "Karpenter has not answered for five minutes: no node is launched, and no spot notice is heard.",
            severity="critical",
            lasts="5m",
        ),
        Alert(
            "CapacityAtLimit",
            "nodepool:karpenter_limit_used:ratio > 0.95",
            "NodePool {{ $labels.nodepool }} has used {{ $value | humanizePercentage }} of its "
            "{{ $labels.resource_type }}.",
            lasts="15m",
        ),
        Alert(
            "NodeClaimsFail",
            "sum by (provider, error) (increase(karpenter_cloudprovider_errors_total{"
            'error!~"NodeClaimNotFoundError|"}[15m])) > 5',
            "Launches of nodes keep failing: {{ $labels.error }}.",
        ),
        Alert(
            "NodeClaimsStopBeforeReady",
            "sum by (nodepool) (increase(karpenter_nodeclaims_disrupted_total{"
            'reason=~"registration_timeout|launch_timeout"}[30m])) > 0',
            "Machines of NodePool {{ $labels.nodepool }} start but never join the cluster.",
        ),
        Alert(
            "SpotInterruptionsFrequent",
            'sum(increase(karpenter_interruption_received_messages_total{message_type="spot_interrupted"}[1h])) > 5',
            "AWS took back {{ $value | humanize }} spot machines within an hour.",
        ),
        Alert(
            "FallbackToOnDemand",
            'sum by (nodepool) (increase(karpenter_nodeclaims_created_total{nodepool="gpu-on-demand"}[30m])) > 0',
            "Spot had no GPU: {{ $labels.nodepool }} launched one at the full price.",
        ),
        Alert(
            "NodeNotReady",
            'kube_node_status_condition{condition="Ready", status="true"} == 0',
            "Node {{ $labels.node }} has not been ready for ten minutes.",
            lasts="10m",
        ),
        Alert(
            "PodOutOfMemory",
            "sum by (namespace, pod, container) (kube_pod_container_status_last_terminated_reason{"
            'reason="OOMKilled", namespace=~"ray|manta-system"}) > 0 and '
            "sum by (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[15m])) > 0",
            "{{ $labels.namespace }}/{{ $labels.pod }} was ended by the kernel for want of memory.",
        ),
        Alert(
            "ServerUnavailable",
            'kube_deployment_status_replicas_available{namespace="manta-system"} == 0',
            "{{ $labels.deployment }} has had no pod that answers for five minutes.",
            severity="critical",
            lasts="5m",
        ),
    ),
    cloud=True,
)
