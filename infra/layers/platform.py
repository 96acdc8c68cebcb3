"""An environment's platform: what every run and endpoint stands on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from infra import contract
from infra.errors import MantaError
from infra.kubernetes import mlflow, s3
from infra.kubernetes.credentials import RandomSecret
from infra.kubernetes.guard import RunGuard
from infra.kubernetes.kuberay import KubeRay, KubeRayArgs, crd_folder
from infra.kubernetes.mlflow import Mlflow, MlflowArgs
from infra.kubernetes.network import network_manifests
from infra.kubernetes.objects import register
from infra.kubernetes.s3 import S3, S3Args
from infra.kubernetes.tenancy import RAY_ACCOUNT, namespace_manifest, tenancy_manifests
from infra.settings import PlatformSettings
from infra.stack import StackName
from infra.versions import RAY

AUTH_SECRET = "ray-auth"  # noqa: S105 - a name


async def build(stack: StackName, settings: PlatformSettings) -> dict[str, Any]:
    """Tenancy, network, operator, storage, MLflow; then the guard that keeps them while runs exist."""
    crds = crd_folder(settings.kuberay, os.environ, str(stack))
    images = _images(settings)
    tenancy = Tenancy(settings)
    after = pulumi.ResourceOptions(depends_on=[tenancy])
    kuberay = KubeRay(
        "kuberay",
        KubeRayArgs(
            namespace=settings.system_namespace,
            watched=settings.namespace,
            settings=settings.kuberay,
            image=settings.kuberay.image or images["ray-operator"],
            crds=crds,
        ),
        protect=settings.protect,
        opts=after,
    )
    storage = S3(
        "s3",
        S3Args(
            namespace=settings.system_namespace,
            node=settings.node,
            settings=settings.storage,
            image=images["versitygw"],
            tools_image=images["ray"],
        ),
        protect=settings.protect,
        opts=after,
    )
    endpoint = s3.endpoint(settings.system_namespace)
    tracking = Mlflow(
        "mlflow",
        MlflowArgs(
            namespace=settings.system_namespace,
            node=settings.node,
            settings=settings.mlflow,
            image=images["ray"],
            bucket=settings.storage.bucket,
            s3_endpoint=endpoint,
            s3_region=s3.REGION,
            credentials_secret=s3.SECRET,
        ),
        protect=settings.protect,
        opts=after,
    )
    RunGuard("runs", settings.namespace, pulumi.ResourceOptions(depends_on=[tenancy, kuberay, storage, tracking]))
    offered = images["ray"].apply(
        lambda image: contract.to_output(
            contract.Contract(
                namespace=settings.namespace,
                service_account=RAY_ACCOUNT,
                auth_secret=AUTH_SECRET,
                credentials_secret=s3.SECRET,
                storage=f"s3://{settings.storage.bucket}",
                s3_endpoint=endpoint,
                s3_region=s3.REGION,
                mlflow_uri=mlflow.uri(settings.system_namespace),
                image=image,
                ray_version=RAY,
            )
        )
    )
    return {contract.OUTPUT: offered, "mlflow": mlflow.uri(settings.system_namespace), "storage": endpoint}


class Tenancy(pulumi.ComponentResource):
    """Namespaces, their limits, accounts and policies, and the Secrets that other stacks refer to by name."""

    def __init__(self, settings: PlatformSettings) -> None:
        super().__init__("manta:kubernetes:Tenancy", "tenancy")
        kept = pulumi.ResourceOptions(parent=self, protect=settings.protect)
        names = (settings.namespace, settings.system_namespace)
        namespaces = [register(name, namespace_manifest(name), kept) for name in names]
        inside = pulumi.ResourceOptions(parent=self, depends_on=namespaces)
        for title, manifest in {**tenancy_manifests(settings), **network_manifests(settings)}.items():
            register(title, manifest, inside)
        made = pulumi.ResourceOptions(parent=self)
        token = RandomSecret("auth-token", 48, made).text
        access, secret = RandomSecret("s3-access-key", 20, made).text, RandomSecret("s3-secret-key", 40, made).text
        keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        register(AUTH_SECRET, _secret(AUTH_SECRET, settings.namespace, {"auth_token": token}), inside)
        for namespace in names:
            register(f"{namespace}-{s3.SECRET}", _secret(s3.SECRET, namespace, keys), inside)
        self.register_outputs({})


def _secret(name: str, namespace: str, values: dict[str, pulumi.Output[str]]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": values}


def _images(settings: PlatformSettings) -> dict[str, pulumi.Output[str]]:
    """Digests of the environment's images, from where it recorded them."""
    source = settings.images
    recorded = k8s.core.v1.ConfigMap.get("images", f"{source.namespace}/{source.config_map}")

    def digest(name: str) -> pulumi.Output[str]:
        return recorded.data.apply(lambda data: _digest(data, name))

    def _digest(data: Mapping[str, str] | None, name: str) -> str:
        if not data or name not in data:
            raise MantaError(
                f"ConfigMap {source.namespace}/{source.config_map} records no image {name}: run `make up`, which "
                "builds the images and records their digests"
            )
        return data[name]

    return {name: digest(name) for name in ("ray", "ray-operator", "versitygw")}
