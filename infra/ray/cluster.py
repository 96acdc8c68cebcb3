"""The Ray cluster under a run or a model server, as the `rayClusterSpec` that RayJob and RayService embed."""

from __future__ import annotations

from typing import Any

from infra.kubernetes.security import container_context, pod_context, resources
from infra.ray.specs import BUNDLE_FILE, BUNDLE_FOLDER, ClusterSpec
from infra.settings.ray import Resources

STACK_LABEL = "manta/stack"
RUN_LABEL = "manta/run"
ROLE_LABEL = "manta/role"
WORKER_GROUP = "workers"
# Listing one port on the head makes KubeRay drop its defaults from the head Service: all that are needed are listed.
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "metrics": 8080, "serve": 8000}
AUTOSCALER_METRICS_PORT = 44217
DASHBOARD_METRICS_PORT = 44227
# MLflow's own names for what its clients log in with.
MLFLOW_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def cluster_spec(spec: ClusterSpec) -> dict[str, Any]:
    """A RayCluster's spec. Values of rayStartParams are text: KubeRay rejects numbers."""
    cluster: dict[str, Any] = {
        # Without it KubeRay takes the image for an old one: other probes, and no token authentication.
        "rayVersion": spec.ray_version,
        # `mode` must be said: KubeRay takes authOptions without it for authentication switched off.
        "authOptions": {"mode": "token", "secretName": spec.around.auth_secret},
        "headGroupSpec": {
            # Without a spec of ours the Service is headless, and has no address that could be published. Workers join
            # through it before the head is ready, and would otherwise wait for that.
            "serviceType": "ClusterIP",
            "headService": {"spec": {"type": "ClusterIP", "publishNotReadyAddresses": True}},
            # The head schedules; tasks on it would starve Ray's own processes.
            "rayStartParams": {"num-cpus": "0"},
            "template": _pod(spec, "head"),
        },
        "workerGroupSpecs": [_worker_group(spec)],
    }
    if spec.workers.autoscales:
        cluster["enableInTreeAutoscaling"] = True
        cluster["autoscalerOptions"] = {
            "version": "v2",
            "idleTimeoutSeconds": spec.workers.idle_timeout_seconds,
            "resources": resources("50m", "256Mi", "500m", "512Mi"),
            # KubeRay copies no security context into the sidecar, and the namespace would refuse the head.
            "securityContext": container_context(),
        }
    return cluster


def labels(stack: str, run: str) -> dict[str, str]:
    return {STACK_LABEL: stack, RUN_LABEL: run, "app.kubernetes.io/managed-by": "pulumi"}


def environment(spec: ClusterSpec, role: str) -> list[dict[str, Any]]:
    """Variables of every Ray container, the same on head and workers but for the drain."""
    around = spec.around
    values = {
        "MANTA_RUN": spec.run,
        "MANTA_STORAGE": around.storage,
        "MANTA_IMAGE": spec.image,
        "MANTA_STACK": spec.stack,
        "MLFLOW_TRACKING_URI": around.mlflow_uri,
        "AWS_ENDPOINT_URL": around.s3_endpoint,
        "AWS_DEFAULT_REGION": around.s3_region,
        # A head is never idle, so its drain would last to the end, and nothing on it can move to another node.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0" if role == "head" else str(spec.preemption.drain_seconds),
        # A worker process imports torch at its start, which takes longer than Ray's 60 s on a busy node.
        "RAY_worker_register_timeout_seconds": "120",
        **spec.environment,
    }
    if spec.bundle_hash:
        values["MANTA_BUNDLE_HASH"] = spec.bundle_hash
    if spec.bundle_config_map:
        values["PYTHONPATH"] = f"{BUNDLE_FOLDER}/{BUNDLE_FILE}"
    plain = [{"name": name, "value": value} for name, value in sorted(values.items()) if value]
    own = [entry for secret, keys in sorted(spec.secrets.items()) for entry in from_secret(secret, keys)]
    return plain + credentials(around.credentials_secret) + from_secret(around.mlflow_secret, MLFLOW_LOGIN) + own


def credentials(secret: str) -> list[dict[str, Any]]:
    """Keys of object storage; none where pods have a role of their own."""
    return from_secret(secret, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))


def from_secret(secret: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Variables that are called as the Secret's keys are; none without a Secret."""
    source = [(name, {"secretKeyRef": {"name": secret, "key": name}}) for name in names if secret]
    return [{"name": name, "valueFrom": reference} for name, reference in source]


def container_resources(size: Resources, gpus: int = 0) -> dict[str, Any]:
    cpu, memory = size.cpu_request or str(size.cpus), size.memory_request or size.memory
    wanted = resources(cpu, memory, str(size.cpus), size.memory)
    if gpus:
        wanted["requests"]["nvidia.com/gpu"] = str(gpus)
        wanted["limits"]["nvidia.com/gpu"] = str(gpus)
    return wanted


def _worker_group(spec: ClusterSpec) -> dict[str, Any]:
    workers = spec.workers
    return {
        "groupName": WORKER_GROUP,
        "replicas": workers.least,
        "minReplicas": workers.least,
        # Always said: KubeRay's default is 2,147,483,647.
        "maxReplicas": workers.most,
        "numOfHosts": 1,
        # Said, though empty, because KubeRay writes it when it adds its finalizer, and would then own the whole list.
        "scaleStrategy": {},
        "rayStartParams": {},
        "template": _pod(spec, "worker"),
    }


def _pod(spec: ClusterSpec, role: str) -> dict[str, Any]:
    head = role == "head"
    container: dict[str, Any] = {
        "name": f"ray-{role}",
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment(spec, role),
        "resources": container_resources(spec.head) if head else container_resources(spec.workers, spec.workers.gpus),
        "securityContext": container_context(),
    }
    if head:
        ports = {**HEAD_PORTS, "dash-metrics": DASHBOARD_METRICS_PORT}
        if spec.workers.autoscales:
            # Without an autoscaler nothing listens there, and Prometheus would take the port for a dead target.
            ports["as-metrics"] = AUTOSCALER_METRICS_PORT
        container["ports"] = [{"name": name, "containerPort": port} for name, port in ports.items()]
    pod: dict[str, Any] = {
        "containers": [container],
        # KubeRay binds the account to a role for the cluster's own autoscaler. An account of KubeRay's making, which an
        # autoscaling head gets without this, would have no role on AWS, and drivers run on the head.
        "serviceAccountName": spec.around.service_account,
        # Only the autoscaler in the head talks to the API server.
        "automountServiceAccountToken": head and spec.workers.autoscales,
        "securityContext": pod_context(),
        # Longer than the drain, shorter than a spot notice; KubeRay sets none.
        "terminationGracePeriodSeconds": spec.preemption.grace_seconds,
        "enableServiceLinks": False,
    }
    if spec.bundle_config_map:
        container["volumeMounts"] = [{"name": "bundle", "mountPath": BUNDLE_FOLDER, "readOnly": True}]
        pod["volumes"] = [{"name": "bundle", "configMap": {"name": spec.bundle_config_map}}]
    template = {"metadata": {"labels": {**labels(spec.stack, spec.run), ROLE_LABEL: role}}, "spec": pod}
    placements = spec.around.placements
    return (placements.head if head else placements.worker(spec.workers.gpus)).apply(template)
