"""Monitoring on either kind of platform."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.kubernetes import charts
from infra.kubernetes.credentials import RandomSecret
from infra.kubernetes.monitoring import CRDS_VARIABLE, GRAFANA_SECRET, IMAGES, Monitoring, MonitoringArgs, crd_folder
from infra.kubernetes.objects import register
from infra.layers.images import Images
from infra.layers.tenancy import secret_manifest
from infra.settings import PlatformSettings
from infra.stack import StackName


def chosen(settings: PlatformSettings, environment: Mapping[str, str]) -> PlatformSettings:
    """`settings`, without a monitoring that is optional and that this machine has not built."""
    found = settings.monitoring
    if found and found.optional and found.source == "manifests" and not (found.crds or environment.get(CRDS_VARIABLE)):
        return settings.model_copy(update={"monitoring": None})
    return settings


def add_monitoring(
    stack: StackName,
    settings: PlatformSettings,
    images: Images,
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource],
    *,
    karpenter: str = "",
    placed: Mapping[str, Any] | None = None,
) -> pulumi.Resource:
    """In the system namespace, for the Ray namespace too; raises ValueError where the settings have none."""
    if settings.monitoring is None:
        raise ValueError("this platform has no monitoring")
    wanted = settings.monitoring.model_copy(update={"charts": charts.place(settings.monitoring.charts, os.environ)})
    by_chart = wanted.source == "chart"
    args = MonitoringArgs(
        settings.system_namespace,
        settings.namespace,
        wanted,
        karpenter,
        crd_folder(wanted, os.environ, str(stack)),
        {} if by_chart else {name: images.get(name) for name in IMAGES},
        placed or {},
    )
    merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after)))
    secret: list[pulumi.Resource] = []
    if by_chart:
        # A name of its own for everybody who looks at it, and no password that the chart's authors chose.
        password = RandomSecret("grafana-password", 24).text
        login = {"user": pulumi.Output.from_input("admin"), "password": password}
        secret.append(
            register(GRAFANA_SECRET, secret_manifest(GRAFANA_SECRET, settings.system_namespace, login), merged)
        )
    return Monitoring("monitoring", args, secret=secret, opts=merged)
