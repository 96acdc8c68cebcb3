"""What the objects complain of, as sentences of Kubernetes', KubeRay's, Karpenter's and the programs' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.plain import entries, section
from ops.diagnose.evidence import Evidence, Thing

# From what is first to what follows from it: a run that fails for want of a node is mended at the node.
Place = Literal["capacity", "create", "schedule", "wait", "end", "log", "event", "run", "endpoint", "stuck"]
PLACES: tuple[Place, ...] = (
    "capacity", "create", "schedule", "wait", "end", "log", "event", "run", "endpoint", "stuck",
)  # fmt: skip
_ENDED = ("Complete", "Suspended")
# A machine boots and joins within minutes, and a pod may take two to drain: before that nothing is wrong.
_JOINS_S, _GOES_S = 300, 180
# Ray's own wait for the head: an init container that runs is not ready by design.
_STARTING = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True)
class Signal:
    """`text` is what was said of `thing`, and where: causes are recognised by the two."""

    place: Place
    text: str
    thing: Thing


def signals(evidence: Evidence) -> Iterator[Signal]:
    """Everything that is not as it should be; nothing of what is well or has ended well."""
    for claim in evidence.of("NodeClaim"):
        wanted = ("Launched", "Registered", "Initialized")
        young = evidence.since(section(claim, "metadata").get("creationTimestamp")) < _JOINS_S
        yield from _conditions("capacity", claim, () if young else wanted)
        yield from _events("capacity", evidence, claim)
    for pool in (*evidence.of("NodePool"), *evidence.of("EC2NodeClass")):
        yield from _conditions("capacity", pool, ("Ready", "ValidationSucceeded", "NodeRegistrationHealthy"))
        yield from _events("capacity", evidence, pool)
    for pod in evidence.of("Pod"):
        yield from _pod(pod, evidence)
    for claim in evidence.of("PersistentVolumeClaim"):
        if section(claim, "status").get("phase") == "Pending":
            yield from _events("schedule", evidence, claim)
    for job in (*evidence.of("Job"), *evidence.of("ReplicaSet"), *evidence.of("StatefulSet")):
        if not _is_done(job):
            yield from _events("create", evidence, job)
    for cluster in evidence.of("RayCluster"):
        # What went wrong on the way to a cluster that is there is over.
        if not _condition(cluster, "RayClusterProvisioned"):
            yield from _events("create", evidence, cluster)
        yield from _conditions("create", cluster, (), ("ReplicaFailure",))
        yield from _deleted(cluster, evidence)
    for run in evidence.of("RayJob"):
        yield from _run(run, evidence)
    for endpoint in evidence.of("RayService"):
        yield from _endpoint(endpoint, evidence)


def _pod(pod: Thing, evidence: Evidence) -> Iterator[Signal]:
    status = section(pod, "status")
    if status.get("phase") == "Succeeded" or _is_ready(pod):
        return
    for condition in entries(status, "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield Signal("schedule", f"{condition.get('reason')}: {condition.get('message', '')}", pod)
    if status.get("reason"):
        yield Signal("end", f"{status['reason']}: {status.get('message', '')}", pod)
    ended = False
    for container in (*entries(status, "initContainerStatuses"), *entries(status, "containerStatuses")):
        name, waiting = container.get("name"), section(container, "state", "waiting")
        if (reason := waiting.get("reason")) and reason not in (*_STARTING, "CrashLoopBackOff"):
            yield Signal("wait", f"{reason}: {waiting.get('message', '')}", pod)
        # A container that is restarted for the moment says in its last state why.
        last = section(container, "state", "terminated") or section(container, "lastState", "terminated")
        if last.get("exitCode"):
            ended = True
            words = f"{last.get('reason')}, exit status {last['exitCode']}, container {name}: {last.get('message', '')}"
            yield Signal("end", words, pod)
            yield from _log(pod, str(name), evidence)
    running_init = [each for each in entries(status, "initContainerStatuses") if section(each, "state", "running")]
    if running_init and not ended:
        yield Signal("wait", f"init container {running_init[0].get('name')} has not ended", pod)
    yield from _events("event", evidence, pod)


def _run(run: Thing, evidence: Evidence) -> Iterator[Signal]:
    status, spec = section(run, "status"), section(run, "spec")
    state = str(status.get("jobDeploymentStatus", ""))
    yield from _deleted(run, evidence)
    if state in _ENDED:
        return
    yield from _events("run", evidence, run)
    words = f"{state or 'New'} {status.get('reason', '')}: {status.get('message', '')}"
    submits = spec.get("submissionMode", "K8sJobMode")
    yield Signal("run", f"{words} [submissionMode {submits}]", run)


def _endpoint(endpoint: Thing, evidence: Evidence) -> Iterator[Signal]:
    status = section(endpoint, "status")
    yield from _deleted(endpoint, evidence)
    strategy = section(endpoint, "spec", "upgradeStrategy").get("type")
    if strategy:
        yield Signal("endpoint", f"[upgradeStrategy {strategy}]", endpoint)
    yield from _conditions("endpoint", endpoint, ("Ready",))
    for which in ("pendingServiceStatus", "activeServiceStatus"):
        applications = section(status, which, "applicationStatuses")
        for name in applications:
            application = section(applications, name)
            if application.get("status") not in ("RUNNING", None):
                yield Signal("endpoint", f"{application['status']} {name}: {application.get('message', '')}", endpoint)
            for title in section(application, "serveDeploymentStatuses"):
                deployment = section(application, "serveDeploymentStatuses", title)
                if deployment.get("message") and deployment.get("status") != "HEALTHY":
                    yield Signal("endpoint", f"{deployment.get('status')} {title}: {deployment['message']}", endpoint)
    if not _condition(endpoint, "Ready"):
        yield from _events("endpoint", evidence, endpoint)


def _conditions(
    place: Place, thing: Thing, wanted: tuple[str, ...], unwanted: tuple[str, ...] = ()
) -> Iterator[Signal]:
    for condition in entries(section(thing, "status"), "conditions"):
        kind, holds = condition.get("type"), condition.get("status") == "True"
        if (kind in wanted and not holds) or (kind in unwanted and holds):
            words = f"{kind} is {condition.get('status')}: {condition.get('reason')}: {condition.get('message', '')}"
            yield Signal(place, words, thing)


def _events(place: Place, evidence: Evidence, thing: Thing) -> Iterator[Signal]:
    # The same complaint comes again with every attempt.
    said = dict.fromkeys(f"{event.get('reason')}: {event.get('message', '')}" for event in evidence.warnings(thing))
    for text in said:
        yield Signal(place, text, thing)


def _log(pod: Thing, container: str, evidence: Evidence) -> Iterator[Signal]:
    metadata = section(pod, "metadata")
    if text := evidence.logs.get(f"{metadata.get('namespace')}/{metadata.get('name')}/{container}"):
        yield Signal("log", text, pod)


def _deleted(thing: Thing, evidence: Evidence) -> Iterator[Signal]:
    metadata = section(thing, "metadata")
    if metadata.get("deletionTimestamp") and evidence.since(metadata["deletionTimestamp"]) > _GOES_S:
        finalizers = ", ".join(metadata.get("finalizers") or ()) or "none"
        yield Signal("stuck", f"deleted at {metadata['deletionTimestamp']}, finalizers {finalizers}", thing)


def _is_ready(pod: Thing) -> bool:
    return _condition(pod, "Ready") and section(pod, "status").get("phase") == "Running"


def _is_done(job: Thing) -> bool:
    return any(
        condition.get("type") == "Complete" and condition.get("status") == "True"
        for condition in entries(section(job, "status"), "conditions")
    )


def _condition(thing: Thing, kind: str) -> bool:
    return any(
        condition.get("type") == kind and condition.get("status") == "True"
        for condition in entries(section(thing, "status"), "conditions")
    )
