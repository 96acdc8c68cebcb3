"""NVIDIA's device plugin, which tells the kubelet how many GPUs a node has. Bottlerocket's images bring their own."""

from __future__ import annotations

import json
from typing import Any

import pulumi

from infra.aws.ladder import GPU, GPU_TAINT, NODES_LABEL
from infra.kubernetes.objects import register
from infra.settings.aws_capacity import CapacitySettings, PluginSettings
from infra.versions import VERSIONS

NAME, NAMESPACE = "nvidia-device-plugin", "kube-system"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "pulumi"}
_SOCKETS = "/var/lib/kubelet/device-plugins"
_CONFIG = "/config/config.yaml"


def needs_plugin(settings: CapacitySettings) -> bool:
    return settings.ami.family == "AL2023"


def config(sharing: int) -> str:
    """The plugin's own configuration: `sharing` pods take turns on each GPU (JSON, which is YAML)."""
    resources = [{"name": GPU, "replicas": sharing}]
    return json.dumps({"version": "v1", "sharing": {"timeSlicing": {"resources": resources}}})


def config_manifest(settings: PluginSettings) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
        "data": {"config.yaml": config(settings.sharing)},
    }


def plugin_manifest(settings: PluginSettings) -> dict[str, Any]:
    """The DaemonSet of NVIDIA's own manifest, on GPU nodes alone."""
    variables = {
        # The node joins before its driver is loaded: the plugin waits instead of ending.
        "FAIL_ON_INIT_ERROR": "false",
        **({} if settings.health else {"DP_DISABLE_HEALTHCHECKS": "all"}),
        **({"CONFIG_FILE": _CONFIG} if settings.sharing > 1 else {}),
    }
    shared = settings.sharing > 1
    container: dict[str, Any] = {
        "name": NAME,
        "image": settings.image or f"nvcr.io/nvidia/k8s-device-plugin:v{VERSIONS['nvidia-device-plugin']}",
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        # Root, since the kubelet's socket is root's; and nothing else of root's.
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "sockets", "mountPath": _SOCKETS},
            *([{"name": "config", "mountPath": "/config", "readOnly": True}] if shared else []),
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "updateStrategy": {"type": "RollingUpdate"},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "nodeSelector": {NODES_LABEL: "gpu"},
                    "tolerations": [{"key": GPU_TAINT["key"], "operator": "Exists", "effect": GPU_TAINT["effect"]}],
                    # Without it a node has no GPUs to offer.
                    "priorityClassName": "system-node-critical",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                    "volumes": [
                        {"name": "sockets", "hostPath": {"path": _SOCKETS, "type": "Directory"}},
                        *([{"name": "config", "configMap": {"name": NAME}}] if shared else []),
                    ],
                },
            },
        },
    }


class DevicePlugin(pulumi.ComponentResource):
    def __init__(self, name: str, settings: PluginSettings, *, opts: pulumi.ResourceOptions) -> None:
        super().__init__("manta:aws:DevicePlugin", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        needs = [register(f"{NAME}-config", config_manifest(settings), inside)] if settings.sharing > 1 else []
        register(NAME, plugin_manifest(settings), pulumi.ResourceOptions(parent=self, depends_on=needs))
        self.register_outputs({})
