"""Workers that are wanted before anything asks for them: by KEDA, through Ray's own autoscaler.

KubeRay 1.6 gives its resources no scale subresource, so KEDA cannot scale them. What it scales is a Deployment whose
every replica stands for one wanted worker: each tells Ray's autoscaler how many of them there are, by the API that Ray
has for it, and a worker that is wanted no longer goes when it is idle. Nobody's work is cut off by a schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.kubernetes.security import container_context, pod_context, resources
from infra.ray.cluster import HEAD_PORTS, ROLE_LABEL, RUN_LABEL, labels
from infra.ray.specs import ClusterSpec
from infra.settings.scaling import ScalingSettings

ROLE = "demand"
KEDA_VERSION = "keda.sh/v1alpha1"
# A replica says again what it wants after this long: a head that was restarted has forgotten it.
REPEAT_SECONDS = 15
# Until a replica that goes has left DNS: CoreDNS keeps an answer for 5 s.
LEAVE_SECONDS = 12

# Every replica says the same number, so that it does not matter which of them was the last to say it.
SCRIPT = """
import os, signal, socket, sys, threading
from ray.autoscaler.v2.sdk import request_cluster_resources
head, service, cpus, gpus, repeat, leave = sys.argv[1:]
worker = {"CPU": float(cpus), **({"GPU": float(gpus)} if float(gpus) else {})}
going = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: going.set())

def replicas():
    try:
        return len({entry[4][0] for entry in socket.getaddrinfo(service, None, type=socket.SOCK_STREAM)})
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        return 0

def ask():
    try:
        wanted = replicas()
        request_cluster_resources(head, [{"resources": worker}] * wanted)
        return f"{wanted} workers wanted"
    except Exception as error:
        return f"not asked: {error}"

told = None
while True:
    said = ask()
    if said != told:
        print(said, flush=True)
        told = said
    if going.wait(float(repeat)):
        break
threading.Event().wait(float(leave))
print(f"going: {ask()}", flush=True)
"""


@dataclass(frozen=True)
class DemandSpec:
    """Of the Ray cluster behind the Service `<name>-head-svc`."""

    name: str
    cluster: ClusterSpec
    scaling: ScalingSettings

    @property
    def title(self) -> str:
        return f"{self.name}-demand"


def demand_manifests(spec: DemandSpec) -> dict[str, dict[str, Any]]:
    """By Pulumi name, in the order in which they need each other."""
    found = {"demand-service": service_manifest(spec), "demand": deployment_manifest(spec)}
    if spec.scaling.queue:
        found["demand-access"] = _manifest(
            spec, KEDA_VERSION, "TriggerAuthentication", {"podIdentity": {"provider": "aws"}}
        )
    return {**found, "demand-scaling": scaled_object_manifest(spec)}


def service_manifest(spec: DemandSpec) -> dict[str, Any]:
    """Its name resolves to as many addresses as there are replicas."""
    wanted = {"clusterIP": "None", "selector": _selector(spec), "ports": [{"name": "none", "port": 1}]}
    return _manifest(spec, "v1", "Service", wanted)


def deployment_manifest(spec: DemandSpec) -> dict[str, Any]:
    """Without `replicas`, which are KEDA's."""
    around, workers = spec.cluster.around, spec.cluster.workers
    head = f"{spec.name}-head-svc.{around.namespace}.svc:{HEAD_PORTS['gcs-server']}"
    service = f"{spec.title}.{around.namespace}.svc"
    arguments = [head, service, str(workers.cpus), str(workers.gpus), str(REPEAT_SECONDS), str(LEAVE_SECONDS)]
    token = {"secretKeyRef": {"name": around.auth_secret, "key": "auth_token"}}
    template = {
        "metadata": {"labels": {**labels(spec.cluster.stack, spec.cluster.run), ROLE_LABEL: ROLE}},
        "spec": {
            "serviceAccountName": around.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_context(),
            "terminationGracePeriodSeconds": 3 * LEAVE_SECONDS,
            "containers": [
                {
                    "name": ROLE,
                    "image": spec.cluster.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", SCRIPT, *arguments],
                    "env": [
                        {"name": "RAY_AUTH_MODE", "value": "token"},
                        {"name": "RAY_AUTH_TOKEN", "valueFrom": token},
                    ],
                    "resources": resources("20m", "192Mi", "500m", "512Mi"),
                    "securityContext": container_context(),
                }
            ],
        },
    }
    wanted = {"selector": {"matchLabels": _selector(spec)}, "template": around.placements.cpu.apply(template)}
    return _manifest(spec, "apps/v1", "Deployment", wanted)


def scaled_object_manifest(spec: DemandSpec) -> dict[str, Any]:
    scaling = spec.scaling
    triggers: list[dict[str, Any]] = [
        {
            "type": "cron",
            "metadata": {
                "timezone": hours.timezone,
                "start": hours.start,
                "end": hours.end,
                "desiredReplicas": str(hours.workers),
            },
        }
        for hours in scaling.hours
    ]
    if queue := scaling.queue:
        triggers.append(
            {
                "type": "aws-sqs-queue",
                "metadata": {
                    "queueURL": queue.url,
                    "awsRegion": queue.region,
                    "queueLength": str(queue.messages_per_worker),
                    # What is being worked on needs its worker until it is done.
                    "scaleOnInFlight": "true",
                },
                "authenticationRef": {"name": spec.title},
            }
        )
    settled = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": min(scaling.cooldown_seconds, 3600)}}}
    wanted = {
        "scaleTargetRef": {"name": spec.title},
        "minReplicaCount": 0,
        "maxReplicaCount": spec.cluster.workers.most,
        "pollingInterval": scaling.poll_seconds,
        "cooldownPeriod": scaling.cooldown_seconds,
        "advanced": {"horizontalPodAutoscalerConfig": settled},
        "triggers": triggers,
    }
    made = _manifest(spec, KEDA_VERSION, "ScaledObject", wanted)
    made["metadata"]["annotations"] = {"pulumi.com/waitFor": "condition=Ready"}
    return made


def _selector(spec: DemandSpec) -> dict[str, str]:
    return {RUN_LABEL: spec.cluster.run, ROLE_LABEL: ROLE}


def _manifest(spec: DemandSpec, version: str, kind: str, wanted: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": spec.title,
        "namespace": spec.cluster.around.namespace,
        "labels": labels(spec.cluster.stack, spec.cluster.run),
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": wanted}
