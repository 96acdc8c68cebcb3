"""A model server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pulumi

from infra import contract, references
from infra.errors import SettingsError
from infra.layers import scaling
from infra.layers.cluster import options
from infra.layers.waiting import exists, in_background
from infra.ray import bundle, capacity, cluster, job, naming, rules, service, upload
from infra.ray.cluster_api import KubernetesApi
from infra.ray.ingress import IngressSpec, deregistration_seconds, ingress_manifest
from infra.ray.serve_config import PORT, serve_config
from infra.ray.specs import ClusterSpec
from infra.ray.wait_service import WantedService, wait_for_service
from infra.settings import ServeSettings
from infra.stack import StackName


async def build(stack: StackName, settings: ServeSettings, project: Path) -> dict[str, Any]:
    """Bundle and RayService, checked before either is sent; then, by choice, until requests are answered."""
    capacity.check_serving(settings, str(stack))
    code = bundle.build(project / settings.bundle)
    for number, application in enumerate(settings.applications):
        module = application.import_path.partition(":")[0]
        bundle.check_module(code, module, f"applications.{number}.importPath", str(stack))
    platform = await contract.read(stack)
    spec = service_spec(stack, settings, platform, code.hash, await _model_version(stack, settings))
    manifest = service.service_manifest(spec)
    rules.check(manifest)
    around = spec.cluster.around
    name = name_of(stack, settings)
    config_map = naming.bundle_name(str(stack), code.hash)
    owned = cluster.labels(str(stack), name)
    before = {"bundle": job.bundle_manifest(config_map, around.namespace, code.encoded, owned)}
    if settings.rollout == "in_place":
        uri = upload.bundle_uri(around.storage, code.hash)
        before["upload"] = upload.upload_manifest(name, str(stack), spec.cluster.image, config_map, uri, around)
    scaling.require(platform, stack, settings.scaling)
    front = published(stack, settings, platform, spec)
    demand = scaling.manifests(name, spec.cluster, settings.scaling)
    endpoint = service.Endpoint(
        "endpoint", manifest, service.disruption_manifest(spec), before, options(platform), demand
    )
    if settings.wait and not pulumi.runtime.is_dry_run():
        await exists(endpoint.service)
        wanted = WantedService(name, str(stack), settings.health_path, settings.ready_timeout_seconds)
        await in_background(
            lambda say: wait_for_service(KubernetesApi(around.namespace, platform.kubeconfig), wanted, say),
            endpoint.service,
        )
    inside = f"http://{name}-serve-svc.{around.namespace}.svc.cluster.local:{PORT}"
    outputs: dict[str, Any] = {
        "service": name,
        "namespace": around.namespace,
        "bundle": code.hash,
        "url": front.url if front else inside,
    }
    if front:
        # After the wait: the provider waits for the load balancer's address, and would count the start of the service.
        outputs["loadBalancer"] = endpoint.publish(ingress_manifest(front))
    return outputs


def published(
    stack: StackName, settings: ServeSettings, platform: contract.Contract, spec: service.ServiceSpec
) -> IngressSpec | None:
    """How the endpoint is reached from outside; raises SettingsError where the platform has no way for it."""
    if settings.ingress is None:
        return None
    if not platform.ingress_class:
        raise SettingsError(
            f"stack {stack}: manta:ingress needs load balancers, which {stack.platform} has not: set manta:aws.ingress "
            f"there and bring it up with `pulumi up -s {stack.platform}`, or leave manta:ingress out"
        )
    region = settings.ingress.certificate.split(":")[3]
    if region != platform.s3_region:
        raise SettingsError(
            f"stack {stack}: manta:ingress.certificate is in {region}, and the load balancer of {stack.platform} in "
            f"{platform.s3_region}, which takes certificates of its own region alone: request one there"
        )
    return IngressSpec(spec, settings.ingress, platform.ingress_class, deregistration_seconds(settings.applications))


def name_of(stack: StackName, settings: ServeSettings) -> str:
    """A stack of its own names its endpoint; otherwise the stack file does."""
    return stack.run or settings.name


async def _model_version(stack: StackName, settings: ServeSettings) -> str | None:
    """The version that the followed training stack registered, if it did."""
    if settings.follow is None:
        return None
    try:
        result = await references.read(settings.follow, "result")
    except references.NoStackError:
        raise SettingsError(
            f"stack {stack}: manta:follow={settings.follow} names no stack: bring it up with "
            f"`pulumi up -s {settings.follow}`, or leave manta:follow out"
        ) from None
    if not isinstance(result, Mapping):
        return None
    values = cast(Mapping[str, Any], result)
    return str(values["version"]) if values.get("registered") and values.get("version") else None


def service_spec(
    stack: StackName,
    settings: ServeSettings,
    platform: contract.Contract,
    code: str,
    model_version: str | None = None,
) -> service.ServiceSpec:
    """Settings and contract joined. With `rollout: in_place` nothing in the pod template depends on the code, and
    never does anything in it depend on the model's version: Serve replaces replicas when their environment changes."""
    name = naming.checked(name_of(stack, settings), naming.MAX_RAY_SERVICE)
    in_place = settings.rollout == "in_place"
    around = platform.surroundings()
    variables = {"MANTA_MODEL_VERSION": model_version} if model_version else {}
    runtime_env: dict[str, Any] = {"env_vars": variables} if variables else {}
    if in_place:
        runtime_env = {
            "working_dir": upload.bundle_uri(around.storage, code),
            "env_vars": {**variables, "MANTA_BUNDLE_HASH": code},
        }
    return service.ServiceSpec(
        name=name,
        cluster=ClusterSpec(
            stack=str(stack),
            run=name,
            image=settings.image or platform.image,
            ray_version=platform.ray_version,
            head=settings.head,
            workers=settings.workers,
            preemption=settings.preemption,
            around=around,
            bundle_config_map=None if in_place else naming.bundle_name(str(stack), code),
            bundle_hash=None if in_place else code,
            environment={**service.HIGH_THROUGHPUT, **settings.environment},
            secrets={secret: tuple(keys) for secret, keys in settings.secrets.items()},
        ),
        config=serve_config(settings.applications, runtime_env),
        old_cluster_delay_seconds=settings.old_cluster_delay_seconds,
        min_available=settings.disruption.min_available,
    )
