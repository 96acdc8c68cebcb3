"""A serving stack: one endpoint."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from infra.settings.base import Count, Image, Name, Positive, Seconds, Settings
from infra.settings.ray import Head, Preemption, Workers
from infra.settings.scaling import ScalingSettings

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Number = Annotated[float, Field(gt=0, le=86_400)]


class Autoscaling(Settings):
    """Replicas of a deployment by load: `targetOngoingRequests` requests in flight for each."""

    min_replicas: Count = 1
    max_replicas: Positive
    target_ongoing_requests: Number = 2
    upscale_delay_s: Annotated[float, Field(ge=0)] = 30
    downscale_delay_s: Annotated[float, Field(ge=0)] = 600

    @model_validator(mode="after")
    def _min_within_max(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas {self.min_replicas} is more than maxReplicas {self.max_replicas}")
        return self


class Deployment(Settings):
    """A Serve deployment. `maxQueuedRequests` counts for each proxy; a request beyond it is answered 503.

    `maxOngoingRequests` also caps batches: with Ray's default of 5 a batch of 32 never fills.
    """

    name: str = Field(min_length=1)
    replicas: Positive | None = None
    autoscaling: Autoscaling | None = None
    cpus: Annotated[float, Field(ge=0)] = 1
    gpus: Annotated[float, Field(ge=0)] = 0
    max_ongoing_requests: Positive = 128
    max_queued_requests: Annotated[int, Field(ge=-1)] = 256
    max_replicas_per_node: Positive | None = None
    graceful_shutdown_wait_loop_s: Number = 2
    graceful_shutdown_timeout_s: Number = 20
    health_check_period_s: Number = 10
    health_check_timeout_s: Number = 30
    user_config: dict[str, Any] = Field(default_factory=dict[str, Any])

    @model_validator(mode="after")
    def _one_way_of_scaling(self) -> Deployment:
        if self.replicas is not None and self.autoscaling is not None:
            raise ValueError("say either replicas or autoscaling")
        return self

    @property
    def least_replicas(self) -> int:
        return self.autoscaling.min_replicas if self.autoscaling else self.replicas or 1


class Application(Settings):
    """`args` go to the application's builder function."""

    name: Name
    import_path: str
    route_prefix: str = Field(default="/", pattern=r"^/.*$")
    args: dict[str, Any] = Field(default_factory=dict[str, Any])
    deployments: list[Deployment] = Field(min_length=1)

    @field_validator("import_path")
    @classmethod
    def _is_an_attribute(cls, value: str) -> str:
        if not _IMPORT_PATH.fullmatch(value):
            raise ValueError("an import path is module:attribute, as payloads.serving.classifier:app")
        return value


class Disruption(Settings):
    """Workers that a voluntary disruption (a drained node) must leave. An integer: a RayCluster has no scale
    subresource from which Kubernetes could take a percentage."""

    min_available: Count = 1


class PublishSettings(Settings):
    """The endpoint as https://`host`, by a load balancer of the platform (`manta:aws.ingress`). `certificate` is the
    ARN of an ACM certificate for that name, in the platform's region; the name's record in DNS is yours to make."""

    host: str = Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$", max_length=253)
    certificate: str = Field(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]{36}$")


class ServeSettings(Settings):
    """`follow` names the training stack whose registered model is served: a newer one replaces the replicas in place.

    `rollout: new_cluster` starts a second Ray cluster and switches, which needs room for both; `in_place` replaces
    replicas one by one, which a changed pod template (image, memory) still does by a second cluster.

    `secrets` names Secrets of the runs' namespace, which are not of this stack's making, and the keys of each that the
    pods get as variables of the same names; a pod starts when they are there."""

    name: Name = "serve"
    applications: list[Application] = Field(min_length=1)
    environment: dict[str, str] = Field(default_factory=dict[str, str])
    secrets: dict[Name, list[Variable]] = Field(default_factory=dict[str, list[str]])
    workers: Workers
    head: Head = Head()
    image: Image | None = None
    follow: str | None = None
    rollout: Literal["new_cluster", "in_place"] = "new_cluster"
    health_path: str = Field(default="/-/healthz", pattern=r"^/.*$")
    old_cluster_delay_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    ready_timeout_seconds: Seconds = 900
    disruption: Disruption = Disruption()
    preemption: Preemption = Preemption()
    ingress: PublishSettings | None = None
    scaling: ScalingSettings | None = None
    wait: bool = True
    bundle: str = "payloads"

    @model_validator(mode="after")
    def _names_and_routes_differ(self) -> ServeSettings:
        for what, values in (
            ("name", [app.name for app in self.applications]),
            ("routePrefix", [app.route_prefix for app in self.applications]),
        ):
            if repeated := next((value for value in values if values.count(value) > 1), None):
                raise ValueError(f"applications: two have the {what} {repeated}")
        return self

    @model_validator(mode="after")
    def _requests_end_before_their_pod(self) -> ServeSettings:
        """A load balancer leaves a pod its requests for as long as a replica takes to stop; the pod must last."""
        limits = {"preemption.drainSeconds": self.preemption.drain_seconds}
        limits["oldClusterDelaySeconds"] = self.old_cluster_delay_seconds
        for deployment in (each for app in self.applications for each in app.deployments):
            for name, seconds in limits.items():
                if self.ingress and deployment.graceful_shutdown_timeout_s > seconds:
                    raise ValueError(
                        f"deployment {deployment.name}: gracefulShutdownTimeoutS "
                        f"{deployment.graceful_shutdown_timeout_s:g} is more than {name} {seconds}, after which the "
                        "pod is gone with the requests that the load balancer left it: lower the one or raise the other"
                    )
        return self

    @model_validator(mode="after")
    def _workers_can_be_scaled(self) -> ServeSettings:
        if self.scaling:
            if not self.workers.autoscales:
                raise ValueError("scaling needs workers that scale: say workers.min and workers.max, not count")
            self.scaling.check(self.workers.most)
        return self
