"""The platform on AWS, from the network up."""

from __future__ import annotations

import os
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from infra import contract
from infra.aws.access import AccessArgs, PodAccess, keda_statements, mlflow_statements, ray_statements
from infra.aws.budget import Budget
from infra.aws.capacity import Capacity, CapacityArgs
from infra.aws.cluster import Cluster, ClusterArgs
from infra.aws.database import Database, DatabaseArgs
from infra.aws.gpu import DevicePlugin, needs_plugin
from infra.aws.ingress import CLASS, IngressArgs, LoadBalancers
from infra.aws.karpenter import NAMESPACE as KARPENTER_NAMESPACE
from infra.aws.karpenter import Karpenter, KarpenterArgs
from infra.aws.naming import Place
from infra.aws.network import Network, NetworkArgs
from infra.aws.placement import placements
from infra.aws.registry import Registry
from infra.aws.storage import Storage, StorageArgs
from infra.aws.system_nodes import ON_SYSTEM_NODES
from infra.kubernetes import charts, keda, mlflow
from infra.kubernetes.guard import RunGuard
from infra.kubernetes.kuberay import KubeRay, KubeRayArgs, crd_folder
from infra.kubernetes.mlflow import Mlflow, MlflowArgs
from infra.kubernetes.mlflow_access import CLIENT_SECRET
from infra.kubernetes.objects import register
from infra.kubernetes.tenancy import MLFLOW_ACCOUNT, RAY_ACCOUNT
from infra.layers.images import Images
from infra.layers.platform_aws_network import inside_network, with_gpu_quota
from infra.layers.platform_keda import add_keda
from infra.layers.platform_login import add_login
from infra.layers.platform_monitoring import add_monitoring
from infra.layers.tenancy import AUTH_SECRET, Tenancy, secret_manifest
from infra.settings import PlatformSettings
from infra.settings.aws import AwsSettings
from infra.stack import StackName
from infra.versions import RAY

DATABASE_SECRET = "mlflow-database"  # noqa: S105 - a name


def build(stack: StackName, settings: PlatformSettings, on: AwsSettings) -> dict[str, Any]:
    """Network, cluster, what launches nodes, data; then what the platform is for."""
    place = Place(stack.environment, on.account, on.region, on.owner)
    crds = crd_folder(settings.kuberay, os.environ, str(stack))
    karpenter_settings = on.karpenter
    if folder := os.environ.get(charts.VARIABLE):
        karpenter_settings = on.karpenter.model_copy(update={"charts": folder})
    account = aws.Provider(
        "aws",
        region=on.region,
        # Credentials of another account are refused before anything is made.
        allowed_account_ids=[on.account],
        default_tags={"tags": dict(place.tags)},
    )
    there = pulumi.ResourceOptions(providers=[account])
    network = Network(
        "network", NetworkArgs(place, on.network, on.log_retention_days), protect=settings.protect, opts=there
    )
    cluster = Cluster("cluster", ClusterArgs(place, on.cluster, network), protect=settings.protect, opts=there)
    inside = k8s.Provider(
        "cluster",
        kubeconfig=cluster.kubeconfig,
        # Says which cluster it is when the endpoint or the certificate changes; else all its objects would be replaced.
        cluster_identifier=place.cluster_arn,
        opts=pulumi.ResourceOptions(depends_on=cluster.ready),
    )
    both = pulumi.ResourceOptions(providers=[account, inside], depends_on=cluster.ready)
    images = Images(settings.images, pulumi.InvokeOptions(provider=inside))
    ray = images.get("ray")
    karpenter = Karpenter(
        "karpenter",
        KarpenterArgs(
            place,
            karpenter_settings,
            cluster,
            tuple(reservation.id for reservation in on.capacity.gpu.reservations),
            images.find("karpenter"),
        ),
        opts=both,
    )
    capacity = Capacity("capacity", CapacityArgs(place, on.capacity, on.network.zones, karpenter), opts=both)
    if needs_plugin(on.capacity):
        DevicePlugin("gpus", on.capacity.gpu.plugin, opts=both)
    storage = Storage("storage", StorageArgs(place, on.storage), protect=settings.protect, opts=there)
    registry = Registry("registry", place, on.registry, keep=on.storage.keep_on_destroy, opts=there)
    database = Database(
        "database", DatabaseArgs(place, on.database, network, cluster), protect=settings.protect, opts=there
    )
    if on.budget:
        Budget("budget", place, on.budget, opts=there)
    tenancy = Tenancy(with_gpu_quota(settings, on), inside_network(on), both)
    for name, namespace, service_account, statements in (
        ("ray", settings.namespace, RAY_ACCOUNT, ray_statements(place, storage.names, settings.namespace)),
        ("mlflow", settings.system_namespace, MLFLOW_ACCOUNT, mlflow_statements(place, storage.names)),
    ):
        PodAccess(name, AccessArgs(place, cluster, namespace, service_account, statements), opts=there)
    # A pod that starts needs a node that Karpenter launches.
    after = pulumi.ResourceOptions(providers=[account, inside], depends_on=[tenancy, capacity])
    recorded = images.find("ray-operator")
    # The chart brings its own.
    operator = settings.kuberay.image or ("" if recorded is None else recorded)
    kuberay = KubeRay(
        "kuberay",
        KubeRayArgs(
            namespace=settings.system_namespace,
            watched=settings.namespace,
            settings=settings.kuberay,
            image=operator,
            crds=crds,
            placed=ON_SYSTEM_NODES,
        ),
        protect=settings.protect,
        opts=after,
    )
    more: list[pulumi.Resource] = []
    if settings.keda:
        before: list[pulumi.Resource] = [tenancy]
        if queues := settings.keda.queues:
            read = AccessArgs(place, cluster, settings.system_namespace, keda.ACCOUNT, keda_statements(queues))
            # Its pods get the role that is there when they start.
            before.append(PodAccess("keda", read, opts=there))
        more.append(add_keda(settings, ON_SYSTEM_NODES, both, before))
    if on.ingress:
        fronts = on.ingress.model_copy(update={"charts": charts.place(on.ingress.charts, os.environ)})
        args = IngressArgs(place, fronts, on.network, cluster, network, settings.namespace)
        # It watches the Ray namespace, and no other.
        last = pulumi.ResourceOptions(providers=[account, inside], depends_on=[tenancy])
        more.append(LoadBalancers("ingress", args, opts=last))
    if settings.monitoring:
        # Its pods need a node, and its volume the driver that makes it.
        before = [tenancy, capacity]
        more.append(
            add_monitoring(stack, settings, images, both, before, karpenter=KARPENTER_NAMESPACE, placed=ON_SYSTEM_NODES)
        )
    known = register(
        DATABASE_SECRET,
        secret_manifest(DATABASE_SECRET, settings.system_namespace, {"uri": database.uri}),
        pulumi.ResourceOptions(provider=inside, depends_on=[tenancy]),
    )
    access = [add_login(settings, place, database.uri, inside, there, [tenancy])] if settings.mlflow_asks else []
    tracking = Mlflow(
        "mlflow",
        MlflowArgs(
            namespace=settings.system_namespace,
            node="",
            settings=settings.mlflow,
            image=ray,
            bucket=storage.names["artifacts"],
            s3_endpoint="",
            s3_region=on.region,
            credentials_secret="",
            database=DATABASE_SECRET,
            asks=settings.mlflow_asks,
        ),
        protect=settings.protect,
        opts=pulumi.ResourceOptions.merge(after, pulumi.ResourceOptions(depends_on=[known, *access, *storage.ready])),
    )
    guarded = pulumi.ResourceOptions(depends_on=[tenancy, kuberay, tracking, storage, capacity, *access, *more])
    RunGuard("runs", settings.namespace, guarded, cluster.kubeconfig)
    offered = pulumi.Output.all(ray, cluster.kubeconfig).apply(
        lambda values: contract.to_output(
            contract.Contract(
                namespace=settings.namespace,
                service_account=RAY_ACCOUNT,
                auth_secret=AUTH_SECRET,
                credentials_secret="",
                # Under the namespace's name: the role of its pods reaches nothing beside it.
                storage=f"s3://{storage.names['checkpoints']}/{settings.namespace}",
                s3_endpoint="",
                s3_region=on.region,
                mlflow_uri=mlflow.uri(settings.system_namespace),
                mlflow_secret=CLIENT_SECRET if settings.mlflow_asks else "",
                image=values[0],
                ray_version=RAY,
                kubeconfig=values[1],
                cluster=place.cluster_arn,
                ingress_class=CLASS if on.ingress else "",
                event_scaling=keda.NAME if settings.keda else "",
                event_queues=",".join(settings.keda.queues) if settings.keda else "",
                placements=placements(),
            )
        )
    )
    return {
        contract.OUTPUT: offered,
        "kubeconfig": cluster.kubeconfig,
        "mlflow": mlflow.uri(settings.system_namespace),
        "registry": registry.url,
        "buckets": storage.names,
    }
