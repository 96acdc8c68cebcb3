"""What makes a rolling update of a model server drop requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from policies import limits
from policies.facts import GRACEFUL_S
from policies.pods import RAY_SERVICE, cluster_of, gpus_at_most, groups
from policies.rule import About, Resource
from policies.serve_keys import APPLICATION, AUTOSCALING, DEPLOYMENT, TOP_LEVEL
from policies.serving import Deployment, config, deployments
from policies.values import Values, at, each, entries, number, section

# Services and probes look for these by name: without `serve` no request reaches a replica.
_HEAD_PORTS = {"serve": 8000, "dashboard": 8265, "gcs-server": 6379}


@About(
    "serve-one-image", "serving", "high",
    "Head and workers of two images disagree about code and Ray, and fail in ways that look random.",
    "give head and all worker groups the same image",
).resources(RAY_SERVICE)  # fmt: skip
def one_image(resource: Resource) -> Iterator[str]:
    images = {str(at(group.pod.main, "image")) for group in groups(resource)}
    if len(images) > 1:
        yield f"head and workers run {len(images)} images: {', '.join(sorted(images))}"


@About(
    "serve-graceful", "serving", "high",
    "A replica that is cut off answers its last requests with errors; one that never ends blocks the update.",
    f"set graceful_shutdown_timeout_s between {GRACEFUL_S[0]} and {GRACEFUL_S[1]} and below the pods' grace period",
).resources(RAY_SERVICE)  # fmt: skip
def graceful(resource: Resource) -> Iterator[str]:
    least, most = GRACEFUL_S
    graces = [number(at(group.pod.spec, "terminationGracePeriodSeconds")) for group in groups(resource)]
    shortest = min((30 if grace is None else grace for grace in graces), default=30)
    for deployment in deployments(resource):
        timeout = number(at(deployment.spec, "graceful_shutdown_timeout_s"))
        if timeout is None:
            continue  # ray-graceful-bounded says so
        if not least <= timeout <= most:
            yield f"{deployment.where}: graceful_shutdown_timeout_s {timeout:g} is not within {least} to {most}"
        if timeout >= shortest:
            yield f"{deployment.where}: graceful_shutdown_timeout_s {timeout:g} is not below the pods' {shortest:g} s"


@About(
    "serve-room-for-both", "serving", "high",
    "A rollout brings the new cluster up beside the old one: where both do not fit, it hangs half-way.",
    "ask for fewer GPUs, set upgradeStrategy.type to None, or raise the environment's gpus in policies/limits.json "
    "together with the NodePools' limits",
).resources(RAY_SERVICE)  # fmt: skip
def room_for_both(resource: Resource) -> Iterator[str]:
    """GPUs, which are what runs short; `ops preflight` asks the cluster itself for every resource."""
    most = limits.load().gpus.get(resource.environment)
    if most is None or at(resource.props, "spec", "upgradeStrategy", "type") == "None":
        return
    once = gpus_at_most(resource)
    if once <= most < 2 * once:
        yield f"old and new cluster need {2 * once:g} GPUs side by side, and {resource.environment} may have {most:g}"


@About(
    "serve-health", "serving", "medium",
    "A replica that hangs is found by its health check alone, and takes requests until then.",
    "set health_check_period_s to at most 30 and health_check_timeout_s to at most 60",
).resources(RAY_SERVICE)  # fmt: skip
def health(resource: Resource) -> Iterator[str]:
    for deployment in deployments(resource):
        for key, most in (("health_check_period_s", 30), ("health_check_timeout_s", 60)):
            value = number(at(deployment.spec, key))
            if value is None or value > most:
                shown = "not set" if value is None else f"{value:g}"
                yield f"{deployment.where}: {key} is {shown}; it must be at most {most}"


@About(
    "serve-known-keys", "serving", "high",
    "Ray Serve drops what it does not know without a word, and the setting is then not the one that was reviewed.",
    "correct the key",
).resources(RAY_SERVICE)  # fmt: skip
def known_keys(resource: Resource) -> Iterator[str]:
    found = config(resource)
    if found is None or not entries(found, "applications"):
        yield "serveConfigV2 is no YAML with applications"
        return
    yield from _unknown("serveConfigV2", found, TOP_LEVEL)
    for application in entries(found, "applications"):
        yield from _unknown(f"application {at(application, 'name')}", application, APPLICATION)
    for deployment in deployments(resource):
        yield from _unknown(deployment.where, deployment.spec, DEPLOYMENT)
        yield from _unknown(f"{deployment.where}, autoscaling_config", deployment.autoscaling, AUTOSCALING)


@About(
    "serve-ports", "serving", "medium",
    "Listing one port on the head makes KubeRay drop its own, and a Service without its port answers nobody.",
    "list serve 8000, dashboard 8265 and gcs-server 6379 on the head, or no port at all",
).resources(RAY_SERVICE)  # fmt: skip
def ports(resource: Resource) -> Iterator[str]:
    for group in groups(resource):
        listed = {at(port, "name"): number(at(port, "containerPort")) for port in entries(group.pod.main, "ports")}
        if group.role == "head" and listed:
            for name, wanted in _HEAD_PORTS.items():
                if listed.get(name) != wanted:
                    yield f"the head lists ports, but not {name} {wanted}"


@About(
    "serve-survives-a-node", "serving", "high",
    "One replica, or all of them on one node, is an outage whenever that node goes.",
    "run at least two replicas, with max_replicas_per_node below their number or more than one worker",
).resources(RAY_SERVICE)  # fmt: skip
def survives_a_node(resource: Resource) -> Iterator[str]:
    workers = sum(
        number(at(group.spec, "minReplicas")) or number(at(group.spec, "replicas")) or 0
        for group in groups(resource)
        if group.role == "worker"
    )
    if workers < 2:
        yield f"{workers:g} worker pods at least: a lost one takes every replica with it"

    def replicas(deployment: Deployment) -> Iterator[str]:
        scaling = deployment.autoscaling
        count = number(at(scaling, "min_replicas") if scaling else at(deployment.spec, "num_replicas"))
        if (1 if count is None else count) < 2:
            yield f"{deployment.where}: {1 if count is None else count:g} replicas at least, two are needed"

    yield from each(deployments(resource), replicas)


@About(
    "serve-traffic-off-the-head", "serving", "medium",
    "Requests through the head stop whenever the head restarts, though the replicas are well.",
    "set excludeHeadPodFromServeSvc to true",
).resources(RAY_SERVICE)  # fmt: skip
def off_the_head(resource: Resource) -> Iterator[str]:
    if (
        section(cluster_of(resource), "headGroupSpec")
        and at(resource.props, "spec", "excludeHeadPodFromServeSvc") is not True
    ):
        yield "the head answers requests too"


def _unknown(where: str, given: Values, known: frozenset[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            yield f"{where}: {key} is no setting of Ray Serve{f', did you mean {close[0]}' if close else ''}"
