"""Monitoring of a platform."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infra.settings.base import Name, Quantity, Settings


class MonitoringSettings(Settings):
    """`source: chart` is the official kube-prometheus-stack from `charts` (its Helm repository, or a folder that holds
    it), `manifests` the same operator, Prometheus and Alertmanager from images that the environment records.

    With `optional` a platform without those CRDs has no monitoring, instead of an error.

    `webhookSecret` names a Secret in the system namespace whose key `url` gets every alert by POST; without it alerts
    are seen in Alertmanager and in Grafana alone. `runbooks` is where docs/runbooks is served, put before the links.
    """

    source: Literal["chart", "manifests"] = "chart"
    charts: str = "https://prometheus-community.github.io/helm-charts"
    # The CRDs' folder, for `manifests`; MANTA_MONITORING_CRDS says it where this does not.
    crds: str | None = None
    optional: bool = False
    retention_days: Annotated[int, Field(ge=1, le=365)] = 15
    storage: Quantity = "50Gi"
    memory: Quantity = "2Gi"
    webhook_secret: Name | None = None
    runbooks: str = "docs/runbooks"
