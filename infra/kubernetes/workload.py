"""The shape that the platform's own servers share: one pod, restricted, with a Service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infra.kubernetes.security import USER, container_context, pod_context


@dataclass(frozen=True)
class Server:
    """A single-replica server. `probe_path` answers 200 without credentials once it can serve."""

    name: str
    namespace: str
    account: str
    image: str
    port: int
    probe_path: str
    resources: dict[str, Any]
    command: list[str] = field(default_factory=list[str])  # empty: the image's own
    args: list[str] = field(default_factory=list[str])
    env: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    claim: str | None = None
    mount: str = "/data"
    # Seconds until the first answer; beyond them the container is restarted.
    startup_seconds: int = 60
    # A Secret whose keys lie as files in a folder, and a program that runs, with `before_env`, before the server does.
    files: tuple[str, str] | None = None
    before: list[str] = field(default_factory=list[str])
    before_env: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def server_manifest(server: Server) -> dict[str, Any]:
    labels = {"app": server.name}
    probe = {"httpGet": {"path": server.probe_path, "port": server.port}}
    container: dict[str, Any] = {
        "name": server.name,
        "image": server.image,
        "imagePullPolicy": "IfNotPresent",
        "args": server.args,
        "env": server.env,
        "ports": [{"name": "http", "containerPort": server.port}],
        "startupProbe": {**probe, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": server.startup_seconds},
        "readinessProbe": {**probe, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**probe, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "resources": server.resources,
        "securityContext": container_context(read_only=True),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the one writable folder of the pod
    }
    if server.command:
        container["command"] = server.command
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]
    if server.claim:
        container["volumeMounts"].append({"name": "data", "mountPath": server.mount})
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": server.claim}})
    if server.files:
        secret, folder = server.files
        container["volumeMounts"].append({"name": "files", "mountPath": folder, "readOnly": True})
        volumes.append({"name": "files", "secret": {"secretName": secret}})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": server.name, "namespace": server.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            # Its volume has room for one writer.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": server.account,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": pod_context(USER),
                    "terminationGracePeriodSeconds": 10,
                    **({"initContainers": [_before(server, container)]} if server.before else {}),
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    }


def _before(server: Server, container: dict[str, Any]) -> dict[str, Any]:
    kept = ("image", "imagePullPolicy", "resources", "securityContext", "volumeMounts")
    own = {"name": "before", "command": server.before, "env": server.before_env}
    return {**{key: container[key] for key in kept}, **own}


def service_manifest(name: str, namespace: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": port}]},
    }
