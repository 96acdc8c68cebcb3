"""Ray's production checklist, the points about clusters and what runs on them: 1, 2, 4, 6, 7 and 9."""

from __future__ import annotations

import re
from collections.abc import Iterator

from policies import drills
from policies.facts import RAY_VERSION, REGISTER_TIMEOUT_S
from policies.pods import POD, RAY, RAY_CLUSTER, RAY_JOB, RAY_SERVICE, PodTemplate, cluster_of, groups, pods, variable
from policies.rule import PROD, WORKBENCH, About, Resource
from policies.serving import config
from policies.values import Values, at, each, entries, number, section

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_TAG_VERSION = re.compile(r":v?(\d+\.\d+\.\d+)")


@About(
    "ray-versions-pinned", "checklist", "high",
    "A tag can be moved and Ray refuses a driver of another version, so what is not pinned breaks on its own.",
    "name the image as registry/name@sha256:<digest> and set rayVersion to the Ray in that image",
).resources(*RAY)  # fmt: skip
def versions_pinned(resource: Resource) -> Iterator[str]:
    def container(found: tuple[PodTemplate, Values]) -> Iterator[str]:
        pod, container = found
        image = str(at(container, "image") or "")
        if not _DIGEST.search(image):
            yield f"{pod.where}: image {image or '(none)'} is not named by digest"
        if (tagged := _TAG_VERSION.search(image)) and pod.role in ("head", "worker") and tagged[1] != version:
            yield f"{pod.where}: image {image} is of Ray {tagged[1]} and rayVersion says {version or 'nothing'}"

    if resource.type == RAY_JOB and not cluster_of(resource):
        return
    version = str(at(cluster_of(resource), "rayVersion") or "")
    if version != RAY_VERSION:
        yield f"rayVersion is {version or 'not set'}, and this project's image holds Ray {RAY_VERSION}"
    yield from each([(pod, one) for pod in pods(resource) for one in pod.containers], container)


@About(
    "ray-head-idle", "checklist", "high",
    "Tasks on the head starve the processes that keep the whole cluster alive.",
    'set headGroupSpec.rayStartParams.num-cpus to "0"',
).resources(*RAY)  # fmt: skip
def head_idle(resource: Resource) -> Iterator[str]:
    for group in groups(resource):
        if group.role == "head" and (cpus := at(group.start_parameters, "num-cpus")) != "0":
            yield f'the head offers {"all its" if cpus is None else cpus} CPUs to tasks; num-cpus must be "0"'


@About(
    "ray-managed", "checklist", "high",
    "A bare RayCluster or pod is nobody's run: nothing retries it, records it or ends it.",
    "train with a RayJob that has its own rayClusterSpec, serve with a RayService; a workbench is not for production",
).resources(RAY_CLUSTER, RAY_JOB, POD)  # fmt: skip
def managed(resource: Resource) -> Iterator[str]:
    if resource.type == RAY_CLUSTER:
        if resource.layer != WORKBENCH:
            yield "a bare RayCluster has no run or endpoint that it belongs to"
        elif resource.environment == PROD:
            yield "a workbench runs whatever anyone submits to it"
    elif resource.type == POD:
        yield "a pod of its own is not started again when its node goes away"
    else:
        if at(resource.props, "spec", "submissionMode") == "InteractiveMode":
            yield "submissionMode InteractiveMode waits for a person to submit the job by hand"
        if section(resource.props, "spec", "clusterSelector"):
            yield "clusterSelector runs the job on a standing RayCluster, whose state it shares"


@About(
    "ray-storage-s3", "checklist", "high",
    "A checkpoint on a node dies with the node, and a run without one starts again from nothing.",
    "set MANTA_STORAGE of every Ray container to an s3:// address",
).resources(*RAY)  # fmt: skip
def storage_on_s3(resource: Resource) -> Iterator[str]:
    def storage(pod: PodTemplate) -> Iterator[str]:
        value = variable(pod.main, "MANTA_STORAGE")
        if value is None or not value.startswith("s3://"):
            yield f"{pod.where}: MANTA_STORAGE is {'not set' if value is None else value}, not an s3:// address"

    yield from each([group.pod for group in groups(resource)], storage)


@About(
    "ray-register-timeout", "checklist", "medium",
    "A worker process that imports torch on a busy node needs longer than Ray's 60 s and is killed while it starts.",
    f"set RAY_worker_register_timeout_seconds to at least {REGISTER_TIMEOUT_S} on head and workers",
).resources(*RAY)  # fmt: skip
def register_timeout(resource: Resource) -> Iterator[str]:
    def timeout(pod: PodTemplate) -> Iterator[str]:
        value = variable(pod.main, "RAY_worker_register_timeout_seconds")
        if (seconds := number(value)) is None or seconds < REGISTER_TIMEOUT_S:
            shown = value or "not set"
            yield f"{pod.where}: RAY_worker_register_timeout_seconds is {shown}, below {REGISTER_TIMEOUT_S}"

    yield from each([group.pod for group in groups(resource)], timeout)


@About(
    "ray-drill-recorded", "checklist", "high",
    "Recovery that was never tried does not work; what goes to production has survived the loss of a worker before.",
    "take a worker away from a run of the same code in another environment; if it ends well, say so in drills.json",
).resources(RAY_JOB, RAY_SERVICE)  # fmt: skip
def drill_recorded(resource: Resource) -> Iterator[str]:
    if resource.environment != PROD:
        return
    codes = {variable(group.pod.main, "MANTA_BUNDLE_HASH") for group in groups(resource)} - {None}
    if resource.type == RAY_SERVICE:
        codes |= {_served_code(application) for application in entries(config(resource), "applications")} - {None}
    if not codes:
        yield "no MANTA_BUNDLE_HASH says which code this is"
    for code in sorted(str(code) for code in codes):
        if not drills.passed(code):
            yield f"no passed drill is recorded for bundle {code[:12]}"


def _served_code(application: Values) -> str | None:
    value = at(application, "runtime_env", "env_vars", "MANTA_BUNDLE_HASH")
    return None if value is None else str(value)
