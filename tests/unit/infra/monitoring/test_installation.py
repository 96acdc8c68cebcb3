"""How monitoring is installed: what the chart is told, and who may reach whom."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import SettingsError
from infra.kubernetes import monitoring
from infra.kubernetes.network import RAY_METRICS, network_manifests
from infra.monitoring.monitors import PART
from infra.settings import PlatformSettings
from infra.settings.monitoring import MonitoringSettings
from tests.contract.manifests import monitoring_args, platform_settings

VALUES = monitoring.chart_values(monitoring_args(storage="80Gi", retentionDays=30))


def test_nothing_in_the_chart_needs_more_than_the_restricted_level() -> None:
    assert VALUES["nodeExporter"] == {"enabled": False}
    assert VALUES["prometheusOperator"]["admissionWebhooks"] == {"enabled": False}


def test_prometheus_keeps_its_data_as_long_and_as_much_as_the_settings_say() -> None:
    spec = VALUES["prometheus"]["prometheusSpec"]
    assert spec["retention"] == "30d"
    claim = spec["storageSpec"]["volumeClaimTemplate"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "80Gi"
    assert claim["storageClassName"] == monitoring.storage_class_manifest()["metadata"]["name"]


def test_grafanas_password_is_a_secret_of_ours() -> None:
    grafana = VALUES["grafana"]
    assert grafana["admin"]["existingSecret"] == monitoring.GRAFANA_SECRET
    assert "adminPassword" not in grafana


def test_every_part_of_the_chart_is_known_to_the_network_policy() -> None:
    labelled = (
        VALUES["prometheusOperator"]["podLabels"],
        VALUES["prometheus"]["prometheusSpec"]["podMetadata"]["labels"],
        VALUES["alertmanager"]["alertmanagerSpec"]["podMetadata"]["labels"],
        VALUES["kube-state-metrics"]["customLabels"],
        VALUES["grafana"]["podLabels"],
    )
    assert all(labels == PART for labels in labelled)


def policies(watched: bool) -> dict[str, dict[str, Any]]:
    settings = platform_settings()
    given = {**settings.model_dump(by_alias=True), "monitoring": {} if watched else None}
    return network_manifests(PlatformSettings.model_validate(given), settings.here[1])


def test_prometheus_reaches_rays_metrics_and_nothing_else_of_it() -> None:
    assert "monitoring" not in policies(watched=False)
    rules = policies(watched=True)["ray-cluster"]["spec"]["ingress"]
    (rule,) = [rule for rule in rules if any(peer.get("podSelector") == {"matchLabels": PART} for peer in rule["from"])]
    assert [port["port"] for port in rule["ports"]] == list(RAY_METRICS)


def test_manifests_without_their_definitions_are_refused() -> None:
    asked = MonitoringSettings.model_validate({"source": "manifests"})
    with pytest.raises(SettingsError, match="MANTA_MONITORING_CRDS"):
        monitoring.crd_folder(asked, {}, "platform-local")
    assert monitoring.crd_folder(MonitoringSettings(), {}, "platform-dev") is None
