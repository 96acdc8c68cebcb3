"""Ray's production checklist, the points about serving, scaling and monitoring: 3, 5, 8 and 10."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_policy.proxy import UNKNOWN_OBJECT_VALUE, UnknownValueError

from policies.facts import DOWNSCALE_DELAY_S
from policies.pods import RAY, RAY_SERVICE, Group, cluster_of, groups, variable
from policies.rule import LOCAL, About, Finding, Resource, Stack
from policies.selectors import matches, monitored_namespaces
from policies.serving import Deployment, deployments
from policies.values import Values, at, each, entries, number, section

MONITORS = tuple(f"kubernetes:monitoring.coreos.com/v1:{kind}" for kind in ("PodMonitor", "ServiceMonitor"))
# What KubeRay 1.6 puts on every Ray pod and its head Service, whatever the cluster is called.
_LABELS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "PodMonitor": {
        role: {"ray.io/is-ray-node": "yes", "ray.io/node-type": role, "app.kubernetes.io/name": "kuberay"}
        for role in ("head", "worker")
    },
    "ServiceMonitor": {"head": {"ray.io/node-type": "head", "app.kubernetes.io/name": "kuberay"}},
}


@About(
    "ray-serve-ongoing", "checklist", "high",
    "Ray's default of 5 requests in flight starves a batch of 64, which then always waits for its timeout.",
    "set max_ongoing_requests of every deployment to at least its batch size",
).resources(RAY_SERVICE)  # fmt: skip
def ongoing_requests(resource: Resource) -> Iterator[str]:
    for deployment in deployments(resource):
        ongoing, batch = number(at(deployment.spec, "max_ongoing_requests")), _batch(deployment)
        if ongoing is None:
            yield f"{deployment.where}: max_ongoing_requests is not set"
        elif ongoing < batch:
            yield f"{deployment.where}: max_ongoing_requests {ongoing:g} is below the batch size {batch:g}"


@About(
    "ray-serve-downscale", "checklist", "medium",
    "Replicas dropped at the first quiet minute are missing at the next request, for as long as a start takes.",
    f"set downscale_delay_s to at least {DOWNSCALE_DELAY_S}",
).resources(RAY_SERVICE)  # fmt: skip
def downscale_delay(resource: Resource) -> Iterator[str]:
    for deployment in deployments(resource):
        delay = at(deployment.autoscaling, "downscale_delay_s")
        if delay is not None and ((seconds := number(delay)) is None or seconds < DOWNSCALE_DELAY_S):
            yield f"{deployment.where}: downscale_delay_s {delay} is below {DOWNSCALE_DELAY_S}"


@About(
    "ray-metrics-scraped", "checklist", "high",
    "What is not scraped is first seen by its users.",
    "give the platform a PodMonitor that selects ray.io/node-type head and worker on port metrics",
).stack()  # fmt: skip
def metrics_scraped(stack: Stack) -> Iterator[Finding]:
    # The local platform has no Prometheus; a run has its platform's.
    if stack.layer != "platform" or stack.environment == LOCAL:
        return
    # Before its cluster is there, the engine tells nothing of what the cluster's provider will make but its type and
    # name: the rule cannot be judged then, which is not the same as kept.
    if any("spec" not in monitor.props for monitor in stack.of(*MONITORS)):
        raise UnknownValueError(UNKNOWN_OBJECT_VALUE, ["spec"])
    for role in ("head", "worker"):
        if not any(_scrapes(monitor, role) for monitor in stack.of(*MONITORS)):
            yield Finding(f"no PodMonitor or ServiceMonitor scrapes the {role}s of Ray clusters on port metrics")


@About(
    "ray-graceful-bounded", "checklist", "high",
    "A pod that is killed while it drains loses requests, and a group without bounds can grow until the money is gone.",
    "set terminationGracePeriodSeconds above Ray's drain, minReplicas and maxReplicas, and graceful_shutdown_timeout_s",
).resources(*RAY)  # fmt: skip
def graceful_and_bounded(resource: Resource) -> Iterator[str]:
    scales = at(cluster_of(resource), "enableInTreeAutoscaling") is True

    def group(found: Group) -> Iterator[str]:
        drain = number(variable(found.pod.main, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"))
        grace = number(at(found.pod.spec, "terminationGracePeriodSeconds"))
        if (30 if grace is None else grace) <= (30 if drain is None else drain):
            shown = "Kubernetes' 30 s" if grace is None else f"{grace:g} s"
            yield f"{found.where}: grace of {shown} ends before Ray's drain of {30 if drain is None else drain:g} s"
        if found.role == "head":
            return
        least, most = number(at(found.spec, "minReplicas")), number(at(found.spec, "maxReplicas"))
        if most is None or (least is None and scales):
            yield f"{found.where}: minReplicas and maxReplicas are not both set, and KubeRay's own limit is 2147483647"
        elif least is not None and least > most:
            yield f"{found.where}: minReplicas {least:g} is above maxReplicas {most:g}"

    yield from each(groups(resource), group)
    if resource.type == RAY_SERVICE:
        yield from each(deployments(resource), _deployment)


def _deployment(deployment: Deployment) -> Iterator[str]:
    if number(at(deployment.spec, "graceful_shutdown_timeout_s")) is None:
        yield f"{deployment.where}: graceful_shutdown_timeout_s is not set"
    scaling = deployment.autoscaling
    if scaling and None in (number(at(scaling, "min_replicas")), number(at(scaling, "max_replicas"))):
        yield f"{deployment.where}: autoscaling_config has no min_replicas or no max_replicas"
    if at(deployment.spec, "num_replicas") == "auto" and not scaling:
        yield f"{deployment.where}: num_replicas auto scales to 100 replicas: set autoscaling_config"


def _batch(deployment: Deployment) -> float:
    """The largest batch that the deployment's own or its application's arguments speak of."""
    places = (section(deployment.application, "args"), section(deployment.spec, "user_config"))
    return max((number(at(place, "max_batch_size")) or 0 for place in places), default=0)


def _scrapes(monitor: Resource, role: str) -> bool:
    kind = monitor.type.rsplit(":", 1)[-1]
    spec: Values = section(monitor.props, "spec")
    labels = _LABELS[kind].get(role)
    endpoints = entries(spec, "podMetricsEndpoints") if kind == "PodMonitor" else entries(spec, "endpoints")
    ports = {at(endpoint, "port") for endpoint in endpoints}
    return (
        labels is not None
        and "metrics" in ports
        and matches(section(spec, "selector"), labels)
        and monitored_namespaces(monitor) != []
    )
