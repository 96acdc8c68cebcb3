"""KEDA on either kind of platform."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.kubernetes import charts
from infra.kubernetes.keda import Keda, KedaArgs
from infra.settings import PlatformSettings


def add_keda(
    settings: PlatformSettings,
    placed: Mapping[str, Any],
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource],
) -> pulumi.Resource:
    """In the system namespace, for the Ray namespace; raises ValueError where the settings have none."""
    if settings.keda is None:
        raise ValueError("this platform has no KEDA")
    chosen = settings.keda.model_copy(update={"charts": charts.place(settings.keda.charts, os.environ)})
    args = KedaArgs(settings.system_namespace, settings.namespace, chosen, placed)
    merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(after)))
    return Keda("keda", args, opts=merged)
