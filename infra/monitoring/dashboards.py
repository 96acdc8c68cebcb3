"""Grafana's dashboards, generated: what each panel asks is here, the JSON is the library's business. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_WIDTH, _HEIGHT = 12, 8  # of 24 columns: two panels in a row


@dataclass(frozen=True)
class Chart:
    """One panel: `lines` are the legend's templates and their PromQL. `unit` is one of Grafana's names."""

    title: str
    unit: str
    lines: Mapping[str, str]
    about: str = ""


@dataclass(frozen=True)
class Board:
    """`pick` names the label by whose values the whole dashboard is narrowed, and the metric that has them all."""

    title: str
    charts: tuple[Chart, ...]
    pick: tuple[str, str] | None = None


def _by(label: str, expr: str, operation: str = "sum") -> str:
    return f"{operation} by ({label}) ({expr})"


_CLUSTER = 'ray_io_cluster=~"$ray_io_cluster"'
_STACK = 'manta_stack=~"$manta_stack"'

BOARDS: dict[str, Board] = {
    "ray-core": Board(
        "Ray core",
        (
            Chart("Nodes", "short", {"{{ray_io_cluster}}": _by("ray_io_cluster", f"ray_cluster_active_nodes{{{_CLUSTER}}}")}),
            Chart("Tasks by state", "short", {"{{State}}": _by("State", f'ray_tasks{{{_CLUSTER}, State!~"FINISHED|FAILED"}}')}),
            Chart("Actors by state", "short", {"{{State}}": _by("State", f'ray_actors{{{_CLUSTER}, State!="DEAD"}}')}),
            Chart("CPU used", "percent", {"{{instance}}": f"ray_node_cpu_utilization{{{_CLUSTER}}}"}),
            Chart("Memory used", "percentunit", {"{{instance}}": f"ray_node_mem_used{{{_CLUSTER}}} / ray_node_mem_total{{{_CLUSTER}}}"}, "Ray ends workers at 95 %."),
            Chart("Object store", "percentunit", {"{{ray_io_cluster}}": f"cluster:ray_object_store_memory_used:ratio{{{_CLUSTER}}}"}),
            Chart("Spilled to disk", "bytes", {"{{State}}": _by("State", f"ray_spill_manager_objects_bytes{{{_CLUSTER}}}")}),
            Chart("GPU used", "percent", {"{{instance}} {{GpuIndex}}": f"ray_node_gpus_utilization{{{_CLUSTER}}}"}),
            Chart("GPU temperature", "celsius", {"{{instance}} {{GpuIndex}}": f"ray_node_gpu_temperature_celsius{{{_CLUSTER}}}"}),
            Chart("Workers lost", "short", {
                "crashed": f"sum(increase(ray_node_manager_unexpected_worker_failure_total{{{_CLUSTER}}}[5m]))",
                "out of memory": f"sum(increase(ray_memory_manager_worker_eviction_total{{{_CLUSTER}}}[5m]))",
                "nodes lost": f"sum(increase(ray_node_failure_total{{{_CLUSTER}}}[5m]))"}),
        ),
        ("ray_io_cluster", "ray_cluster_active_nodes"),
    ),
    "training": Board(
        "Training run",
        (
            Chart("Epoch", "short", {"{{run}}": f"ray_manta_training_epoch{{{_CLUSTER}}}"}),
            Chart("Loss", "short", {"{{run}}": f"ray_manta_training_loss{{{_CLUSTER}}}"}),
            Chart("Since the last epoch", "s", {"{{run}}": f"time() - ray_manta_training_report_timestamp_seconds{{{_CLUSTER}}}"}),
            Chart("Age of the newest checkpoint", "s", {"{{run}}": f"time() - ray_manta_training_checkpoint_timestamp_seconds{{{_CLUSTER}}}"}),
            Chart("Workers lost", "short", {"{{run}}": f"ray_manta_training_worker_failures_total{{{_CLUSTER}}}"}),
            Chart("CPU used", "percent", {"{{instance}}": f"ray_node_cpu_utilization{{{_CLUSTER}}}"}),
            Chart("GPU used", "percent", {"{{instance}} {{GpuIndex}}": f"ray_node_gpus_utilization{{{_CLUSTER}}}"}),
            Chart("RayJobs by status", "short", {"{{deployment_status}}": _by("deployment_status", "kuberay_job_deployment_status == 1", "count")}),
        ),
        ("ray_io_cluster", "ray_cluster_active_nodes"),
    ),
    "serving": Board(
        "Serving",
        (
            Chart("Requests", "reqps", {"{{status_code}}": _by("status_code", f"rate(ray_serve_num_http_requests_total{{{_STACK}}}[1m])")}),
            Chart("Share of errors", "percentunit", {
                "5 minutes": f"stack:serve_errors:ratio_rate5m{{{_STACK}}}", "1 hour": f"stack:serve_errors:ratio_rate1h{{{_STACK}}}"},
                "The month's budget is 0.1 %."),
            Chart("Latency", "ms", {
                "p99": f"stack:serve_latency_ms:p99_5m{{{_STACK}}}",
                "p50": f"histogram_quantile(0.5, {_by('le', f'rate(ray_serve_http_request_latency_ms_bucket{{{_STACK}}}[5m])')})"}),
            Chart("In flight", "short", {"{{manta_stack}}": _by("manta_stack", f"ray_serve_num_ongoing_http_requests{{{_STACK}}}")}),
            Chart("Replicas that are well", "short", {"{{deployment}}": _by("deployment", f"ray_serve_deployment_replica_healthy{{{_STACK}}}")}),
            Chart("Replicas started", "short", {"{{deployment}}": _by("deployment", f"increase(ray_serve_deployment_replica_starts_total{{{_STACK}}}[5m])")}),
            Chart("Time in the replica", "ms", {"p99 {{deployment}}": "histogram_quantile(0.99, " + _by(
                "deployment, le", f"rate(ray_serve_deployment_processing_latency_ms_bucket{{{_STACK}}}[5m])") + ")"}),
            Chart("Rollouts on their way", "short", {"{{name}}": 'max by (name) (kuberay_service_condition_upgrade_in_progress{condition="true"})'}),
        ),
        ("manta_stack", "ray_serve_num_http_requests_total"),
    ),
    "capacity": Board(
        "Spot and capacity",
        (
            Chart("Machines launched", "short", {"{{nodepool}}": _by("nodepool", "increase(karpenter_nodeclaims_created_total[15m])")}),
            Chart("Machines taken away", "short", {"{{reason}} {{nodepool}}": _by("reason, nodepool", "increase(karpenter_nodeclaims_disrupted_total[15m])")}),
            Chart("Messages of AWS", "short", {"{{message_type}}": _by("message_type", "increase(karpenter_interruption_received_messages_total[15m])")}),
            Chart("Used of the limit", "percentunit", {"{{nodepool}} {{resource_type}}": "nodepool:karpenter_limit_used:ratio"}),
            Chart("Launches that failed", "short", {"{{error}}": _by("error", "increase(karpenter_cloudprovider_errors_total[15m])")}),
            Chart("Tasks that wait for room", "short", {"{{ray_io_cluster}}": _by("ray_io_cluster", 'ray_tasks{State="PENDING_NODE_ASSIGNMENT"}')}),
        ),
    ),
    "fleet": Board(
        "Fleet and cost",
        (
            Chart("Cost by NodePool", "currencyUSD", {"{{nodepool}}": _by("nodepool", "karpenter_nodepools_cost_total")}, "Per hour, at Karpenter's prices."),
            Chart("GPUs by NodePool", "short", {"{{nodepool}}": _by("nodepool", 'karpenter_nodepools_usage{resource_type="nvidia.com/gpu"}')}),
            Chart("CPUs by stack", "short", {"{{manta_stack}}": _by("manta_stack", "ray_node_cpu_count")}),
            Chart("CPU used by stack", "percent", {"{{manta_stack}}": _by("manta_stack", "ray_node_cpu_utilization", "avg")}),
            Chart("Memory by stack", "bytes", {"{{manta_stack}}": _by("manta_stack", "ray_node_mem_used")}),
            Chart("Ray clusters", "short", {"{{owner_kind}}": _by("owner_kind", "kuberay_cluster_info", "count")}),
        ),
    ),
}  # fmt: skip


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard as Grafana imports it, by name."""
    return {name: _rendered(name, board) for name, board in BOARDS.items()}


def expressions() -> list[str]:
    """Every PromQL expression of every panel."""
    return [expr for board in BOARDS.values() for chart in board.charts for expr in chart.lines.values()]


def _rendered(name: str, board: Board) -> dict[str, Any]:
    source = build.DatasourceVariable("source").label("Prometheus").type("prometheus")
    made = (
        build.Dashboard(f"Manta: {board.title}")
        .uid(f"manta-{name}")
        .tags(["manta"])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .with_variable(source)
    )
    if board.pick:
        label, metric = board.pick
        made.with_variable(
            build.QueryVariable(label)
            .datasource(_SOURCE)
            .query(f"label_values({metric}, {label})")
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    for chart in board.charts:
        made.with_panel(_panel(chart))
    return json.loads(JSONEncoder(sort_keys=True).encode(made.build()))


def _panel(chart: Chart) -> Panel:
    panel = Panel().title(chart.title).unit(chart.unit).min(0).span(_WIDTH).height(_HEIGHT).datasource(_SOURCE)
    panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    if chart.about:
        panel.description(chart.about)
    for number, (legend, expr) in enumerate(chart.lines.items()):
        panel.with_target(Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + number)))
    return panel
