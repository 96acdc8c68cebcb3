"""What the tests know of the platform's pools, from its stack file, and the pods that they bring to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from infra.aws.naming import Place

STACKS = Path(__file__).resolve().parents[2] / "stacks"
_AWS: dict[str, Any] = yaml.safe_load((STACKS / "Pulumi.platform-sim.yaml").read_text())["config"]["manta:aws"]
_GPUS: dict[str, Any] = _AWS["capacity"]["gpu"]
PLACE = Place("sim", _AWS["account"], _AWS["region"], _AWS["owner"])
NAME = PLACE.cluster
FAMILIES: list[str] = _GPUS["families"]
SIZES: list[str] = _GPUS["sizes"]
ZONES: list[str] = _AWS["network"]["zones"]
LIMIT: int = _GPUS["limit"]
IDLE_S: int = _GPUS["idleSeconds"]
IMAGE: str = _AWS["capacity"]["ami"]["id"]
GPU = "nvidia.com/gpu"


def workers(name: str, replicas: int, *, gpus: int = 1, tolerant: bool = True) -> dict[str, Any]:
    """A Deployment whose pods take `gpus` each and never share a node."""
    labels = {"app": name}
    spread = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 5,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [spread]}},
        "containers": [
            {"name": "ray", "image": "x", "resources": {"limits": {GPU: str(gpus)}, "requests": {"cpu": "2"}}}
        ],
    }
    if tolerant:
        pod["tolerations"] = [{"key": GPU, "operator": "Exists"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
