"""The platform on a cluster that is there already: it runs object storage itself."""

from __future__ import annotations

import os
from typing import Any

import pulumi

from infra import contract
from infra.kubernetes import keda, mlflow, s3
from infra.kubernetes.guard import RunGuard
from infra.kubernetes.kuberay import KubeRay, KubeRayArgs, crd_folder
from infra.kubernetes.mlflow import Mlflow, MlflowArgs
from infra.kubernetes.mlflow_access import CLIENT_SECRET, MlflowAccess
from infra.kubernetes.s3 import S3, S3Args
from infra.kubernetes.tenancy import RAY_ACCOUNT
from infra.layers.images import Images
from infra.layers.platform_keda import add_keda
from infra.layers.platform_monitoring import add_monitoring, chosen
from infra.layers.tenancy import AUTH_SECRET, Tenancy
from infra.settings import PlatformSettings
from infra.stack import StackName
from infra.versions import RAY


def build(stack: StackName, settings: PlatformSettings) -> dict[str, Any]:
    """Tenancy, network, operator, storage, MLflow; then the guard that keeps them while runs exist."""
    node, network = settings.here
    settings = chosen(settings, os.environ)
    crds = crd_folder(settings.kuberay, os.environ, str(stack))
    images = Images(settings.images)
    ray = images.get("ray")
    tenancy = Tenancy(settings, network)
    after = pulumi.ResourceOptions(depends_on=[tenancy])
    kuberay = KubeRay(
        "kuberay",
        KubeRayArgs(
            namespace=settings.system_namespace,
            watched=settings.namespace,
            settings=settings.kuberay,
            image=settings.kuberay.image or images.get("ray-operator"),
            crds=crds,
        ),
        protect=settings.protect,
        opts=after,
    )
    storage = S3(
        "s3",
        S3Args(
            namespace=settings.system_namespace,
            node=node,
            settings=settings.storage,
            image=images.get("versitygw"),
            tools_image=ray,
        ),
        protect=settings.protect,
        opts=after,
    )
    endpoint = s3.endpoint(settings.system_namespace)
    asks, names = settings.mlflow_asks, (settings.system_namespace, settings.namespace)
    access = [MlflowAccess("mlflow-access", *names, mlflow.ACCOUNTS_HERE, after)] if asks else []
    tracking = Mlflow(
        "mlflow",
        MlflowArgs(
            namespace=settings.system_namespace,
            node=node,
            settings=settings.mlflow,
            image=ray,
            bucket=settings.storage.bucket,
            s3_endpoint=endpoint,
            s3_region=s3.REGION,
            credentials_secret=s3.SECRET,
            asks=asks,
        ),
        protect=settings.protect,
        opts=pulumi.ResourceOptions(depends_on=[tenancy, *access]),
    )
    kept: list[pulumi.Resource] = [tenancy, kuberay, storage, tracking, *access]
    if settings.keda:
        kept.append(add_keda(settings, {}, pulumi.ResourceOptions(), [tenancy]))
    if settings.monitoring:
        kept.append(add_monitoring(stack, settings, images, pulumi.ResourceOptions(), [tenancy]))
    RunGuard("runs", settings.namespace, pulumi.ResourceOptions(depends_on=kept))
    offered = ray.apply(
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
                mlflow_secret=CLIENT_SECRET if asks else "",
                image=image,
                ray_version=RAY,
                event_scaling=keda.NAME if settings.keda else "",
            )
        )
    )
    return {contract.OUTPUT: offered, "mlflow": mlflow.uri(settings.system_namespace), "storage": endpoint}
