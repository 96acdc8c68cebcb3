"""Every manifest that the stacks of this repository lead to, and Ray's in all the shapes that settings allow."""

from __future__ import annotations

import dataclasses
from typing import Any

from infra.aws.placement import placements
from infra.aws.system_nodes import ON_SYSTEM_NODES
from infra.contract import Contract
from infra.kubernetes import mlflow, monitoring, prometheus, s3, tenancy
from infra.kubernetes.kuberay import operator_manifest
from infra.kubernetes.kuberay_rbac import rbac_manifests
from infra.kubernetes.monitoring import MonitoringArgs
from infra.kubernetes.network import network_manifests
from infra.kubernetes.storage import claim_manifest, volume_manifest
from infra.kubernetes.workload import server_manifest, service_manifest
from infra.layers.serve import published, service_spec
from infra.layers.train import job_spec
from infra.layers.workbench import workbench_spec
from infra.ray import demand, ingress, job, schedule, service, upload, workbench
from infra.settings import PlatformSettings, ServeSettings, TrainSettings, WorkbenchSettings
from infra.settings.monitoring import MonitoringSettings
from infra.settings.scaling import ScalingSettings
from infra.stack import StackName
from tests.contract.schemas import load_settings

IMAGE = "localhost/manta/ray@sha256:" + "a" * 64
CODE = "c0de" * 16
CONTRACT = Contract(
    namespace="ray",
    service_account="ray",
    auth_secret="ray-auth",
    credentials_secret="s3-credentials",
    storage="s3://manta",
    s3_endpoint="http://s3.manta-system.svc.cluster.local:9000",
    s3_region="us-east-1",
    mlflow_uri="http://mlflow.manta-system.svc.cluster.local:5000",
    image=IMAGE,
    ray_version="2.60.0",
)
# What a platform on AWS offers beside it.
ON_AWS = dataclasses.replace(
    CONTRACT,
    credentials_secret="",
    s3_endpoint="",
    cluster="arn:aws:eks:us-east-1:111122223333:cluster/manta-dev",
    ingress_class="manta",
    event_scaling="keda",
    event_queues="arn:aws:sqs:us-east-1:111122223333:experiments",
    placements=placements(),
)
SERVE_DEV = StackName("serve", "dev")
TRAIN, SERVE, BENCH = StackName("train", "local"), StackName("serve", "local"), StackName("workbench", "dev")
TRAIN_SHAPES: dict[str, dict[str, Any]] = {
    "as in the repository": {},
    "autoscaling": {"workers": {"min": 0, "max": 4, "cpus": 2, "memory": "4Gi", "idleTimeoutSeconds": 30}},
    "gpus": {"workers": {"count": 2, "cpus": 4, "gpus": 1, "memory": "8Gi"}, "trainer": {"gpusPerWorker": 1}},
    "no retries, no time to live": {"retries": 0, "ttlSeconds": 0, "environment": {"NCCL_DEBUG": "INFO"}},
    "by the clock": {"schedule": {"cron": "0 3 * * 1-5", "timezone": "Europe/Berlin", "concurrency": "replace"}},
    "awkward parameters": {"parameters": {"note": 'it\'s $HOME; `rm -rf` "x"', "fast": True, "lr": 1e-05}},
}
SERVE_SHAPES: dict[str, dict[str, Any]] = {
    "as in the repository": {},
    "in place": {"rollout": "in_place"},
    "autoscaling": {
        "workers": {"min": 1, "max": 3, "cpus": 1, "memory": "2Gi"},
        "applications": [
            {
                "name": "digits",
                "importPath": "payloads.serving.classifier:app",
                "args": {"model_name": "digits"},
                "deployments": [
                    {"name": "classifier", "autoscaling": {"maxReplicas": 3}, "userConfig": {"threshold": 0.5}}
                ],
            }
        ],
    },
}
# Both ways of scaling by events, and the one for which KEDA needs a role.
SCALING: dict[str, Any] = {
    "hours": [{"timezone": "Europe/Berlin", "start": "0 8 * * 1-5", "end": "0 19 * * 1-5", "workers": 2}],
    "queue": {"url": "https://sqs.us-east-1.amazonaws.com/111122223333/experiments", "messagesPerWorker": 4},
}
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"
PUBLISHED: dict[str, Any] = {"host": "digits.example.com", "certificate": CERTIFICATE}
BENCH_SHAPES: dict[str, dict[str, Any]] = {
    "as in the repository": {},
    "without GPUs": {"workers": {"gpus": 0, "max": 2}, "environment": {"NCCL_DEBUG": "INFO"}},
}


def train_settings(shape: str) -> TrainSettings:
    return TrainSettings.model_validate({**load_settings("train-local"), **TRAIN_SHAPES[shape]})


def serve_settings(shape: str) -> ServeSettings:
    return ServeSettings.model_validate({**load_settings("serve-local"), **SERVE_SHAPES[shape]})


def platform_settings() -> PlatformSettings:
    return PlatformSettings.model_validate(load_settings("platform-local"))


def ray_job(shape: str) -> dict[str, Any]:
    return job.job_manifest(job_spec(TRAIN, train_settings(shape), CONTRACT, CODE))


def scheduled() -> dict[str, dict[str, Any]]:
    """What starts runs by the clock, beside their template."""
    settings = train_settings("by the clock")
    assert settings.schedule
    return schedule.schedule_manifests(
        schedule.ScheduleSpec(job_spec(TRAIN, settings, CONTRACT, CODE), settings.schedule)
    )


def ray_service(shape: str) -> dict[str, Any]:
    return service.service_manifest(service_spec(SERVE, serve_settings(shape), CONTRACT, CODE, "7"))


def bench_settings(shape: str) -> WorkbenchSettings:
    return WorkbenchSettings.model_validate({**load_settings("workbench-dev"), **BENCH_SHAPES[shape]})


def ray_cluster(shape: str) -> dict[str, Any]:
    return workbench.workbench_manifest(workbench_spec(BENCH, bench_settings(shape), ON_AWS))


def demand_manifests(scaling: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What makes KEDA bring workers to the workbench."""
    spec = workbench_spec(BENCH, bench_settings("as in the repository"), ON_AWS)
    wanted = ScalingSettings.model_validate(SCALING if scaling is None else scaling)
    return list(demand.demand_manifests(demand.DemandSpec(spec.name, spec.cluster, wanted)).values())


def ray_ingress() -> dict[str, Any]:
    """How the endpoint of the repository is reached from outside."""
    settings = ServeSettings.model_validate({**load_settings("serve-dev"), "ingress": PUBLISHED})
    front = published(SERVE_DEV, settings, ON_AWS, service_spec(SERVE_DEV, settings, ON_AWS, CODE))
    assert front
    return ingress.ingress_manifest(front)


def run_manifests() -> list[dict[str, Any]]:
    """What train and serve stacks make beside the Ray resources."""
    around = CONTRACT.surroundings()
    spec = service_spec(SERVE, serve_settings("as in the repository"), CONTRACT, CODE)
    uri = upload.bundle_uri(CONTRACT.storage, CODE)
    return [
        job.bundle_manifest("digits-bundle-c0de", "ray", "AAAA", {"manta/stack": "train-local"}),
        service.disruption_manifest(spec),
        upload.upload_manifest("digits", "serve-local", IMAGE, "digits-bundle-c0de", uri, around),
        *scheduled().values(),
    ]


def monitoring_args(**changes: Any) -> MonitoringArgs:
    """Of a platform on AWS, whose operator finds Karpenter too."""
    settings = MonitoringSettings.model_validate({"webhookSecret": "alerts", **changes})
    images = dict.fromkeys(monitoring.IMAGES, IMAGE)
    return MonitoringArgs("manta-system", "ray", settings, "kube-system", None, images, ON_SYSTEM_NODES)


def monitoring_manifests() -> list[dict[str, Any]]:
    """Of both ways to install it."""
    args = monitoring_args()
    there = prometheus.PrometheusArgs("manta-system", "ray", IMAGE, IMAGE, IMAGE, IMAGE, 7, "1Gi")
    return [
        *monitoring.watched_manifests(args).values(),
        *monitoring.dashboard_manifests("manta-system").values(),
        monitoring.receiver_manifest("manta-system", "alerts"),
        monitoring.storage_class_manifest(),
        *prometheus.rbac_manifests("manta-system", "ray").values(),
        prometheus.operator_manifest(there),
        *prometheus.server_manifests(there).values(),
    ]


def platform_manifests() -> list[dict[str, Any]]:
    settings = platform_settings()
    system = settings.system_namespace
    s3_args = s3.S3Args(system, settings.node, settings.storage, IMAGE, IMAGE)
    mlflow_args = mlflow.MlflowArgs(
        system, settings.node, settings.mlflow, IMAGE, "manta", s3.endpoint(system), s3.REGION, s3.SECRET
    )
    return [
        *(tenancy.namespace_manifest(name) for name in (settings.namespace, system)),
        *tenancy.tenancy_manifests(settings).values(),
        *network_manifests(settings, settings.network).values(),
        *rbac_manifests(system, settings.namespace).values(),
        operator_manifest(system, settings.namespace, IMAGE, "512Mi", ON_SYSTEM_NODES),
        volume_manifest("s3", settings.storage.path, settings.storage.size, settings.node, system),
        claim_manifest("s3", settings.storage.size, system),
        server_manifest(s3.s3_server(s3_args)),
        service_manifest("s3", system, s3.PORT),
        s3.bucket_manifest(system, "manta", IMAGE),
        server_manifest(mlflow.mlflow_server(mlflow_args)),
        server_manifest(mlflow.mlflow_server(dataclasses.replace(mlflow_args, database="mlflow-database", asks=True))),
        service_manifest("mlflow", system, mlflow.PORT),
    ]
