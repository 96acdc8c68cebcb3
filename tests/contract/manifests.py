"""Every manifest that the stacks of this repository lead to, and Ray's in all the shapes that settings allow."""

from __future__ import annotations

from typing import Any

from infra.aws.system_nodes import ON_SYSTEM_NODES
from infra.contract import Contract
from infra.kubernetes import mlflow, s3, tenancy
from infra.kubernetes.kuberay import operator_manifest
from infra.kubernetes.kuberay_rbac import rbac_manifests
from infra.kubernetes.network import network_manifests
from infra.kubernetes.storage import claim_manifest, volume_manifest
from infra.kubernetes.workload import server_manifest, service_manifest
from infra.layers.serve import service_spec
from infra.layers.train import job_spec
from infra.ray import job, service, upload
from infra.settings import PlatformSettings, ServeSettings, TrainSettings
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
TRAIN, SERVE = StackName("train", "local"), StackName("serve", "local")
TRAIN_SHAPES: dict[str, dict[str, Any]] = {
    "as in the repository": {},
    "autoscaling": {"workers": {"min": 0, "max": 4, "cpus": 2, "memory": "4Gi", "idleTimeoutSeconds": 30}},
    "gpus": {"workers": {"count": 2, "cpus": 4, "gpus": 1, "memory": "8Gi"}, "trainer": {"gpusPerWorker": 1}},
    "no retries, no time to live": {"retries": 0, "ttlSeconds": 0, "environment": {"NCCL_DEBUG": "INFO"}},
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


def train_settings(shape: str) -> TrainSettings:
    return TrainSettings.model_validate({**load_settings("train-local"), **TRAIN_SHAPES[shape]})


def serve_settings(shape: str) -> ServeSettings:
    return ServeSettings.model_validate({**load_settings("serve-local"), **SERVE_SHAPES[shape]})


def platform_settings() -> PlatformSettings:
    return PlatformSettings.model_validate(load_settings("platform-local"))


def ray_job(shape: str) -> dict[str, Any]:
    return job.job_manifest(job_spec(TRAIN, train_settings(shape), CONTRACT, CODE))


def ray_service(shape: str) -> dict[str, Any]:
    return service.service_manifest(service_spec(SERVE, serve_settings(shape), CONTRACT, CODE, "7"))


def run_manifests() -> list[dict[str, Any]]:
    """What train and serve stacks make beside the Ray resources."""
    around = CONTRACT.surroundings()
    spec = service_spec(SERVE, serve_settings("as in the repository"), CONTRACT, CODE)
    uri = upload.bundle_uri(CONTRACT.storage, CODE)
    return [
        job.bundle_manifest("digits-bundle-c0de", "ray", "AAAA", {"manta/stack": "train-local"}),
        service.disruption_manifest(spec),
        upload.upload_manifest("digits", "serve-local", IMAGE, "digits-bundle-c0de", uri, around),
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
        service_manifest("mlflow", system, mlflow.PORT),
    ]
