"""The KubeRay operator: CRDs first, as a step of their own, then the operator from its chart or from manifests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra.errors import SettingsError
from infra.kubernetes.crds import Crds
from infra.kubernetes.kuberay_rbac import NAME, rbac_manifests
from infra.kubernetes.objects import register
from infra.kubernetes.security import container_context, resources
from infra.settings.platform import KubeRaySettings
from infra.versions import KUBERAY

CHART_REPOSITORY = "https://ray-project.github.io/kuberay-helm/"
OPERATOR_LABELS = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/component": "kuberay-operator"}
METRICS_PORT, PROBE_PORT = 8080, 8082
# Where the toolchain leaves the CRDs of the pinned operator.
CRDS_VARIABLE = "MANTA_CRDS"


@dataclass(frozen=True)
class KubeRayArgs:
    """`namespace` is the operator's own, `watched` the one whose Ray resources it acts on.

    `placed`: where its pod may run, as fields of a pod's spec (nodeSelector, tolerations).
    """

    namespace: str
    watched: str
    settings: KubeRaySettings
    image: pulumi.Input[str]
    crds: Path | None
    placed: Mapping[str, Any] = field(default_factory=dict[str, Any])


def crd_folder(settings: KubeRaySettings, environment: Mapping[str, str], stack: str) -> Path | None:
    """Where the CRDs are, or None if the chart brings them; raises SettingsError for a folder without them."""
    given = settings.crds or environment.get(CRDS_VARIABLE)
    if given is None:
        if settings.source == "chart":
            return None
        raise SettingsError(
            f"stack {stack}: manta:kuberay.source=manifests needs the CRDs' folder: set {CRDS_VARIABLE} (`make env` "
            "prints it) or manta:kuberay.crds"
        )
    folder = Path(given)
    if not any(folder.glob("*.yaml")):
        raise SettingsError(f"stack {stack}: there are no CRDs in {folder}: correct {CRDS_VARIABLE}")
    return folder


def operator_manifest(
    namespace: str,
    watched: str,
    image: pulumi.Input[str],
    memory: str,
    placed: Mapping[str, Any],
) -> dict[str, Any]:
    def probe(path: str) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "probes"}, "periodSeconds": 5, "failureThreshold": 5}

    container: dict[str, Any] = {
        "name": "kuberay-operator",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            f"--watch-namespace={watched}",
            "--enable-leader-election=true",
            f"--leader-election-namespace={namespace}",
            "--enable-metrics=true",
        ],
        "ports": [
            {"name": "metrics", "containerPort": METRICS_PORT},
            {"name": "probes", "containerPort": PROBE_PORT},
        ],
        "livenessProbe": {**probe("/healthz"), "initialDelaySeconds": 10},
        "readinessProbe": {**probe("/readyz"), "periodSeconds": 2},
        "resources": resources("50m", "128Mi", "1", memory),
        "securityContext": container_context(read_only=True),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": namespace, "labels": OPERATOR_LABELS},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": OPERATOR_LABELS},
            "template": {
                "metadata": {"labels": OPERATOR_LABELS},
                "spec": {
                    "serviceAccountName": NAME,
                    "enableServiceLinks": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "terminationGracePeriodSeconds": 10,
                    "containers": [container],
                    **placed,
                },
            },
        },
    }


def chart_values(watched: str, memory: str, placed: Mapping[str, Any]) -> dict[str, Any]:
    """The same operator, said to the official chart."""
    return {
        "nameOverride": NAME,
        "fullnameOverride": NAME,
        "singleNamespaceInstall": True,
        "watchNamespace": [watched],
        "leaderElectionEnabled": True,
        "resources": resources("50m", "128Mi", "1", memory),
        "securityContext": container_context(read_only=True),
        "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        **placed,
    }


class KubeRay(pulumi.ComponentResource):
    """CRDs and operator. What is made of these CRDs must depend on this component."""

    def __init__(
        self, name: str, args: KubeRayArgs, *, protect: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("manta:kubernetes:KubeRay", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        crds: list[pulumi.Resource] = [Crds("crds", args.crds, kept)] if args.crds else []
        if args.settings.source == "chart":
            self._from_chart(args, crds)
        else:
            self._from_manifests(args, crds)
        self.register_outputs({"version": KUBERAY})

    def _from_chart(self, args: KubeRayArgs, crds: list[pulumi.Resource]) -> None:
        k8s.helm.v3.Release(
            "operator",
            chart="kuberay-operator",
            version=KUBERAY,
            name=NAME,
            namespace=args.namespace,
            repository_opts={"repo": CHART_REPOSITORY},
            # Helm never upgrades what lies in a chart's crds/.
            skip_crds=bool(crds),
            atomic=False,
            values=chart_values(args.watched, args.settings.memory, args.placed),
            opts=pulumi.ResourceOptions(parent=self, depends_on=crds),
        )

    def _from_manifests(self, args: KubeRayArgs, crds: list[pulumi.Resource]) -> None:
        rbac: list[pulumi.Resource] = [
            register(title, manifest, pulumi.ResourceOptions(parent=self))
            for title, manifest in rbac_manifests(args.namespace, args.watched).items()
        ]
        register(
            "operator",
            operator_manifest(args.namespace, args.watched, args.image, args.settings.memory, args.placed),
            pulumi.ResourceOptions(parent=self, depends_on=[*crds, *rbac]),
        )
