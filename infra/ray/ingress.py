"""A model server behind an application load balancer, over TLS, that stops sending requests before Serve stops taking
them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from infra.ray import cluster
from infra.ray.serve_config import PORT
from infra.ray.service import ServiceSpec
from infra.settings.serve import Application, PublishSettings

# Answers 503 from the moment on that Serve drains the node, while requests are still taken.
HEALTH_PATH = "/-/healthz"
HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S, HEALTH_FAILURES = 5, 4, 2
# For so long Serve's proxy goes on taking requests once its node drains (RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S in Ray
# 2.60). A test compares it with the installed Ray.
PROXY_DRAINS_S = 30
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
_ALB = "alb.ingress.kubernetes.io/"


@dataclass(frozen=True)
class IngressSpec:
    """`deregistration_seconds`: how long a pod that goes keeps the connections that it has."""

    service: ServiceSpec
    publish: PublishSettings
    ingress_class: str
    deregistration_seconds: int

    @property
    def url(self) -> str:
        return f"https://{self.publish.host}"


def deregistration_seconds(applications: list[Application]) -> int:
    """As long as a replica that is being stopped works on the requests that it has."""
    deployments = [deployment for application in applications for deployment in application.deployments]
    return math.ceil(max(deployment.graceful_shutdown_timeout_s for deployment in deployments))


def ingress_manifest(spec: IngressSpec) -> dict[str, Any]:
    name = spec.service.name
    around = spec.service.cluster.around
    said = {
        # The pods themselves: a node would be one hop more, and goes on taking requests when its pod has gone.
        "target-type": "ip",
        "listen-ports": json.dumps([{"HTTPS": 443}]),
        "certificate-arn": spec.publish.certificate,
        "ssl-policy": TLS_POLICY,
        "backend-protocol": "HTTP",
        "healthcheck-protocol": "HTTP",
        "healthcheck-port": "traffic-port",
        "healthcheck-path": HEALTH_PATH,
        "healthcheck-interval-seconds": str(HEALTH_INTERVAL_S),
        "healthcheck-timeout-seconds": str(HEALTH_TIMEOUT_S),
        "healthy-threshold-count": "2",
        "unhealthy-threshold-count": str(HEALTH_FAILURES),
        "success-codes": "200",
        "target-group-attributes": ",".join(
            (
                f"deregistration_delay.timeout_seconds={spec.deregistration_seconds}",
                # Replicas answer in batches: the one with the fewest requests in flight is the one to ask.
                "load_balancing.algorithm.type=least_outstanding_requests",
            )
        ),
    }
    # Serve's own port alone: the head's Service, with the dashboard, is no backend of anything.
    backend = {"service": {"name": f"{name}-serve-svc", "port": {"number": PORT}}}
    rule = {"host": spec.publish.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": around.namespace,
            "labels": cluster.labels(spec.service.cluster.stack, spec.service.cluster.run),
            "annotations": {f"{_ALB}{key}": value for key, value in said.items()},
        },
        "spec": {"ingressClassName": spec.ingress_class, "rules": [rule]},
    }
