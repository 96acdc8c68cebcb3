"""Prometheus, Alertmanager and (by chart) Grafana, with what they scrape, what alarms and what is shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.errors import SettingsError
from infra.kubernetes.charts import source
from infra.kubernetes.crds import Crds
from infra.kubernetes.objects import register
from infra.kubernetes.prometheus import PrometheusArgs, operator_manifest, rbac_manifests, server_manifests
from infra.kubernetes.security import resources
from infra.monitoring import groups
from infra.monitoring.monitors import LABELS, PART, karpenter_monitor, operator_monitor, ray_monitors, server_monitor
from infra.monitoring.rule import rule_manifest
from infra.settings.monitoring import MonitoringSettings
from infra.versions import VERSIONS

CHART = "kube-prometheus-stack"
GRAFANA_SECRET = "grafana"  # noqa: S105 - a name
STORAGE_CLASS = "manta-monitoring"
# Where the toolchain leaves the CRDs of the pinned operator.
CRDS_VARIABLE = "MANTA_MONITORING_CRDS"
# What the operator, Prometheus and Alertmanager run from, by the names under which images are recorded.
IMAGES = ("prometheus-operator", "prometheus-config-reloader", "prometheus", "alertmanager")

# The chart's own rules on what AWS runs and does not show.
_ABSENT_RULES = (
    "etcd", "kubeControllerManager", "kubeProxy", "kubeSchedulerAlerting", "kubeSchedulerRecording", "windows",
    "nodeExporterAlerting", "nodeExporterRecording",
)  # fmt: skip
_DASHBOARD_LABEL = {"label": "grafana_dashboard", "labelValue": "1"}


@dataclass(frozen=True)
class MonitoringArgs:
    """`namespace` is its own, `watched` the one where Ray runs. `karpenter` is Karpenter's namespace; empty where there
    is none. `images` by the names of IMAGES; none of them with the chart. `placed`: fields of pods' specs."""

    namespace: str
    watched: str
    settings: MonitoringSettings
    karpenter: str = ""
    crds: Path | None = None
    images: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    placed: Mapping[str, Any] = field(default_factory=dict[str, Any])


def crd_folder(settings: MonitoringSettings, environment: Mapping[str, str], stack: str) -> Path | None:
    """Where the CRDs are, or None if the chart brings them; raises SettingsError for a folder without them."""
    if settings.source == "chart":
        return None
    given = settings.crds or environment.get(CRDS_VARIABLE)
    if given is None or not any(Path(given).glob("*.yaml")):
        raise SettingsError(
            f"stack {stack}: manta:monitoring.source=manifests needs the CRDs' folder: set {CRDS_VARIABLE} (`make env` "
            "prints it) or manta:monitoring.crds"
        )
    return Path(given)


def watched_manifests(args: MonitoringArgs) -> dict[str, dict[str, Any]]:
    """What the operator reads: monitors and rules, by Pulumi name."""
    monitors = ray_monitors(args.namespace, args.watched)
    monitors["monitor-operator"] = operator_monitor(args.namespace)
    if args.settings.source == "manifests":
        monitors["monitor-server"] = server_monitor(args.namespace)
    if args.karpenter:
        monitors["monitor-karpenter"] = karpenter_monitor(args.namespace, args.karpenter)
    rules = rule_manifest("manta", args.namespace, groups(bool(args.karpenter)), args.settings.runbooks, LABELS)
    return {**monitors, "rules": rules}


def chart_values(args: MonitoringArgs) -> dict[str, Any]:
    """Said to kube-prometheus-stack: all of it fits the restricted pod security level, hence no node exporter, whose
    pod needs its node's own network; the kubelets and kube-state-metrics tell of nodes."""
    settings, placed = args.settings, dict(args.placed)
    part = {"podMetadata": {"labels": dict(PART)}}
    absent = ("kubeControllerManager", "kubeScheduler", "kubeEtcd", "kubeProxy", "coreDns", "nodeExporter")
    claim = {
        "storageClassName": STORAGE_CLASS,
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": settings.storage}},
    }
    everything = {f"{kind}SelectorNilUsesHelmValues": False for kind in ("serviceMonitor", "podMonitor", "rule")}
    return {
        "fullnameOverride": "monitoring",
        # AWS runs these, and shows nothing of them.
        **{name: {"enabled": False} for name in absent},
        "defaultRules": {"rules": dict.fromkeys(_ABSENT_RULES, False)},
        "prometheusOperator": {
            # The API server checks rules against the CRDs; this would add a webhook that blocks them while it is down.
            "admissionWebhooks": {"enabled": False},
            "tls": {"enabled": False},
            "podLabels": dict(PART),
            "resources": resources("50m", "128Mi", "500m", "256Mi"),
            **placed,
        },
        "prometheus": {
            "prometheusSpec": {
                **part,
                **everything,
                "retention": f"{settings.retention_days}d",
                "resources": resources("200m", "1Gi", "1", settings.memory),
                "storageSpec": {"volumeClaimTemplate": {"spec": claim}},
                **placed,
            }
        },
        "alertmanager": {
            "alertmanagerSpec": {
                **part,
                "alertmanagerConfigSelector": {"matchLabels": dict(LABELS)},
                "alertmanagerConfigMatcherStrategy": {"type": "None"},
                "resources": resources("20m", "64Mi", "200m", "256Mi"),
                **placed,
            }
        },
        "kube-state-metrics": {"customLabels": dict(PART), **placed},
        "grafana": {
            "admin": {"existingSecret": GRAFANA_SECRET, "userKey": "user", "passwordKey": "password"},
            "podLabels": dict(PART),
            "sidecar": {"dashboards": {**_DASHBOARD_LABEL, "searchNamespace": args.namespace}},
            "testFramework": {"enabled": False},
            **placed,
        },
    }  # fmt: skip


def storage_class_manifest() -> dict[str, Any]:
    """EKS has no class with encryption, and a default one for old clusters only."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "ebs.csi.aws.com",
        "parameters": {"type": "gp3", "encrypted": "true"},
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
    }


def receiver_manifest(namespace: str, secret: str) -> dict[str, Any]:
    """Every alert to the webhook whose address is in `secret`; the heartbeat is sent often, for its absence alarms."""
    address = {"name": secret, "key": "url"}
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": "manta", "namespace": namespace, "labels": dict(LABELS)},
        "spec": {
            "route": {
                "receiver": "webhook",
                "groupBy": ["alertname", "namespace", "manta_stack"],
                "groupWait": "30s",
                "repeatInterval": "12h",
                "routes": [
                    {
                        "receiver": "webhook",
                        "matchers": [{"name": "purpose", "value": "heartbeat", "matchType": "="}],
                        "repeatInterval": "5m",
                    }
                ],
            },
            "receivers": [{"name": "webhook", "webhookConfigs": [{"urlSecret": address, "sendResolved": True}]}],
        },
    }  # fmt: skip


def dashboard_manifests(namespace: str) -> dict[str, dict[str, Any]]:
    """Each dashboard as the ConfigMap that Grafana's sidecar looks for, by Pulumi name."""
    from infra.monitoring.dashboards import dashboards  # its library is read only where there is a Grafana

    return {
        f"dashboard-{name}": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"dashboard-{name}",
                "namespace": namespace,
                "labels": {"grafana_dashboard": "1"},
            },
            "data": {f"manta-{name}.json": json.dumps(content, sort_keys=True)},
        }
        for name, content in dashboards().items()
    }


class Monitoring(pulumi.ComponentResource):
    """The operator before what it reads. `secret`: Grafana's login, which must be there before the chart."""

    def __init__(
        self,
        name: str,
        args: MonitoringArgs,
        *,
        secret: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("manta:kubernetes:Monitoring", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        operator = self._from_chart(args, secret) if args.settings.source == "chart" else self._from_manifests(args)
        after = pulumi.ResourceOptions(parent=self, depends_on=operator)
        for title, manifest in watched_manifests(args).items():
            register(title, manifest, after)
        if args.settings.webhook_secret:
            register("receiver", receiver_manifest(args.namespace, args.settings.webhook_secret), after)
        if args.settings.source == "chart":
            for title, manifest in dashboard_manifests(args.namespace).items():
                register(title, manifest, inside)
        self.register_outputs({"version": VERSIONS["prometheus-operator"]})

    def _from_chart(self, args: MonitoringArgs, secret: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        disk = register("storage", storage_class_manifest(), pulumi.ResourceOptions(parent=self))
        release = k8s.helm.v3.Release(
            "operator",
            name="monitoring",
            namespace=args.namespace,
            atomic=False,
            values=chart_values(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[disk, *secret]),
            **source(args.settings.charts, CHART, VERSIONS[CHART]),
        )
        return [release]

    def _from_manifests(self, args: MonitoringArgs) -> list[pulumi.Resource]:
        if args.crds is None:
            raise SettingsError(f"manta:monitoring.source=manifests needs the CRDs' folder: set {CRDS_VARIABLE}")
        operator, reloader, prometheus, alertmanager = (args.images[name] for name in IMAGES)
        there = PrometheusArgs(
            args.namespace, args.watched, operator, reloader, prometheus, alertmanager,
            args.settings.retention_days, args.settings.memory,
        )  # fmt: skip
        crds = Crds("monitoring-crds", args.crds, pulumi.ResourceOptions(parent=self))
        rights = [
            register(title, manifest, pulumi.ResourceOptions(parent=self))
            for title, manifest in rbac_manifests(args.namespace, args.watched).items()
        ]
        deployment = register(
            "operator", operator_manifest(there), pulumi.ResourceOptions(parent=self, depends_on=[crds, *rights])
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=[deployment])
        return [deployment, *(register(title, manifest, after) for title, manifest in server_manifests(there).items())]
