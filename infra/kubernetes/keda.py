"""KEDA, from its official chart: what scales by working hours and by the length of a queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes.charts import source
from infra.kubernetes.security import resources
from infra.settings.platform import KedaSettings
from infra.versions import VERSIONS

NAME = "keda"
ACCOUNT = "keda-operator"
# As the chart labels the pods of its three parts.
OPERATOR, METRICS, WEBHOOKS = ACCOUNT, "keda-operator-metrics-apiserver", "keda-admission-webhooks"
GRPC, METRICS_HTTPS, WEBHOOKS_HTTPS = 9666, 6443, 9443


@dataclass(frozen=True)
class KedaArgs:
    """`namespace` is its own, `watched` the one in which it scales. `placed`: fields of its pods' spec."""

    namespace: str
    watched: str
    settings: KedaSettings
    placed: Mapping[str, Any] = field(default_factory=dict[str, Any])


def chart_values(watched: str, placed: Mapping[str, Any]) -> dict[str, Any]:
    """Said to the chart: one namespace, and no more of the cluster's secrets than it needs, which is none."""
    size = resources("50m", "128Mi", "1", "512Mi")
    return {
        "watchNamespace": watched,
        "resources": {"operator": size, "metricServer": size, "webhooks": resources("20m", "64Mi", "200m", "256Mi")},
        "permissions": {"operator": {"restrict": {"secret": True}}, "metricServer": {"restrict": {"secret": True}}},
        # It scales Deployments alone, and those it may without this, which is the right to scale everything.
        "rbac": {"enabledCustomScaledRefKinds": False},
        "image": {"pullPolicy": "IfNotPresent"},
        **placed,
    }


class Keda(pulumi.ComponentResource):
    """The chart brings its CRDs as templates, so that Helm upgrades them too."""

    def __init__(self, name: str, args: KedaArgs, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:kubernetes:Keda", name, None, opts)
        k8s.helm.v3.Release(
            "keda",
            name=NAME,
            namespace=args.namespace,
            atomic=False,
            values=chart_values(args.watched, args.placed),
            opts=pulumi.ResourceOptions(parent=self),
            **source(args.settings.charts, NAME, VERSIONS["keda"]),
        )
        self.register_outputs({"version": VERSIONS["keda"]})
