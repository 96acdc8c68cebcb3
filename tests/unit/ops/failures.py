"""Pods and jobs that fail, each in one known way. The cluster tier makes them; the unit tier reads a recording."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NAMESPACE, STRICT = "failures", "failures-quota"
SECURE = {
    "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
_APART = {
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"same": "x"}}, "topologyKey": "kubernetes.io/hostname"}
    ]}}
}  # fmt: skip


@dataclass(frozen=True)
class Failing:
    """A pod called `name` of which a diagnosis says `cause`; empty if it is only there for another one."""

    name: str
    cause: str
    container: dict[str, Any] = field(default_factory=dict[str, Any])
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    labels: dict[str, str] = field(default_factory=dict[str, str])

    def manifest(self, image: str) -> dict[str, Any]:
        container = {
            "name": "main", "image": image, "command": ["sleep", "3600"],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}, **self.container,
        }  # fmt: skip
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **self.spec}
        for init in spec.get("initContainers", ()):
            init["image"] = image
        metadata = {"name": self.name, "namespace": NAMESPACE, "labels": self.labels}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _shell(script: str) -> dict[str, Any]:
    return {"command": ["bash", "-c", script]}


def _asks(**resources: str) -> dict[str, Any]:
    return {"resources": {"requests": resources}}


def _volume(source: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": [{"name": "data", **source}]}


PODS = (
    Failing("too-large", "too-large", _asks(cpu="100")),
    Failing("too-much-memory", "too-large", _asks(memory="900Gi")),
    Failing("gpu", "no-gpu", {"resources": {"limits": {"nvidia.com/gpu": "1"}}}),
    Failing("wrong-node", "selector", spec={"nodeSelector": {"manta/nodes": "gpu"}}),
    Failing("affinity", "", spec=_APART, labels={"same": "x"}),
    Failing("affinity2", "spread", spec=_APART, labels={"same": "x"}),
    Failing("no-claim", "claim-missing", spec=_volume({"persistentVolumeClaim": {"claimName": "nowhere"}})),
    Failing("unbound-claim", "claim-unbound", spec=_volume({"persistentVolumeClaim": {"claimName": "unbound"}})),
    Failing("no-config", "config-missing", {"envFrom": [{"configMapRef": {"name": "absent"}}]}),
    Failing("no-secret-key", "config-missing",
            {"env": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "auth_token"}}}]}),
    Failing("no-mount", "config-missing", {"volumeMounts": [{"name": "data", "mountPath": "/d"}]},
            _volume({"secret": {"secretName": "absent"}})),
    Failing("no-image", "image-not-loaded", {"image": f"localhost/manta/ray@sha256:{'0' * 64}"}),
    Failing("never-pull", "image-not-loaded", {"image": "localhost/manta/absent:1", "imagePullPolicy": "Never"}),
    Failing("registry-unreachable", "registry-unreachable", {"image": "registry.invalid/ray:1"}),
    Failing("bad-image-name", "image-name", {"image": "Not An Image"}),
    Failing("no-command", "no-program", {"command": ["/no/such/program"]}),
    Failing("oom", "out-of-memory", {"command": ["python3", "-c", "bytearray(300 << 20)"]}),
    Failing("crash", "raised", _shell("echo 'ValueError: boom' >&2; exit 3")),
    Failing("says-why", "payload", _shell("echo 'error: lr is 0: set it above 0' >&2; exit 1")),
    Failing("no-module", "module-missing", {"command": ["python3", "-c", "import payloads.nowhere"]}),
    Failing("liveness", "liveness", {"livenessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}),
    Failing("readiness", "readiness", {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 2}}),
    Failing("init-fails", "waits-for-head",
            spec={"initContainers": [{"name": "wait-gcs-ready", **_shell("sleep 3600")}]}),
    Failing("init-crash", "init-failed", spec={"initContainers": [{"name": "prepare", **_shell("exit 1")}]}),
    Failing("ephemeral", "disk-limit", {**_shell("head -c 50M /dev/zero >/tmp/x; sleep 600"),
            "resources": {"limits": {"ephemeral-storage": "10Mi", "memory": "128Mi"}}}),
    Failing("deadline", "pod-deadline", spec={"activeDeadlineSeconds": 5}),
)  # fmt: skip
# What else there is, and what is said of it.
OTHERS = {
    f"persistentvolumeclaim {NAMESPACE}/unbound": "storage-class-missing",
    f"job {STRICT}/over-quota": "quota",
    f"job {STRICT}/root-job": "pod-security",
}
EXPECTED = {f"pod {NAMESPACE}/{pod.name}": pod.cause for pod in PODS if pod.cause} | OTHERS


def manifests(image: str) -> list[dict[str, Any]]:
    """Everything that is to fail, with two namespaces to fail in."""
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "unbound", "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
                 "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "runs", "namespace": STRICT},
        "spec": {"hard": {"requests.cpu": "1"}},
    }  # fmt: skip
    return [
        _namespace(NAMESPACE, {}),
        _namespace(STRICT, {"pod-security.kubernetes.io/enforce": "restricted"}),
        claim,
        quota,
        *(pod.manifest(image) for pod in PODS),
        _job("over-quota", image, {"requests": {"cpu": "2"}}, SECURE),
        _job("root-job", image, {"requests": {"cpu": "1m"}}, {}),
    ]


def _namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _job(name: str, image: str, resources: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "command": ["true"],
        "resources": resources,
        "securityContext": context,
    }
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": STRICT}, "spec": spec}
