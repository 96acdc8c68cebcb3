"""When an object counts as ready, and what a person reads while it does not."""

from __future__ import annotations

from typing import Any

import pytest

from local.engine.kubernetes.identity import GroupVersionKind
from local.engine.kubernetes.waits import custom, jobs, network, pods, registry, storage, workloads
from local.engine.kubernetes.waits.definitions import crd_status
from local.engine.kubernetes.waits.status import Failed, Ready, Waiting, selector_text


def _deployment(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 2}, "status": status}


ROLLED_OUT = {
    "observedGeneration": 2,
    "replicas": 2,
    "updatedReplicas": 2,
    "availableReplicas": 2,
    "conditions": [{"type": "Available", "status": "True"}],
}


def test_a_deployment_is_ready_when_all_its_pods_are_new_and_available() -> None:
    assert workloads.deployment_status(_deployment(**ROLLED_OUT), []) == Ready()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"observedGeneration": 1}, "controller has not seen it"),
        ({"updatedReplicas": 1}, "1 of 2 new pods created"),
        ({"replicas": 3}, "1 old pods still run"),
        ({"availableReplicas": 0}, "0 of 2 pods available"),
        ({"conditions": []}, "not marked as available"),
    ],
)
def test_a_deployment_says_what_it_waits_for(change: dict[str, Any], words: str) -> None:
    status = workloads.deployment_status(_deployment(**{**ROLLED_OUT, **change}), [])

    assert isinstance(status, Waiting)
    assert words in status.reason


def test_a_deployment_without_status_is_not_taken_for_ready() -> None:
    fresh = {"metadata": {"name": "web", "generation": 1}, "spec": {"replicas": 0}}

    assert isinstance(workloads.deployment_status(fresh, []), Waiting)


def test_a_deployment_past_its_deadline_has_failed_with_its_pods_problem() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too long"}

    status = workloads.deployment_status(_deployment(**{**ROLLED_OUT, "conditions": [condition]}), [_pulling()])

    assert isinstance(status, Failed)
    assert "too long" in status.reason
    assert "ErrImagePull" in status.reason


def _pulling() -> dict[str, Any]:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    return _pod(containerStatuses=[{"name": "app", "state": {"waiting": waiting}}])


def _pod(phase: str = "Pending", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web-1", "creationTimestamp": "2026-01-01"}, "status": {"phase": phase, **status}}


def test_problems_of_pods_name_pod_container_and_reason_once() -> None:
    assert pods.problems([_pulling(), _pulling()]) == ["container app of pod web-1: ErrImagePull: not found"]


def test_a_crashing_container_shows_its_exit_code_and_last_words() -> None:
    ended = {"exitCode": 3, "reason": "Error", "message": "no such file"}
    crashing = {"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended}}

    assert pods.problems([_pod(containerStatuses=[crashing])]) == [
        "container app of pod web-1: CrashLoopBackOff (last exit code 3, no such file)"
    ]


def test_ready_and_departing_pods_are_no_problem() -> None:
    ready = _pod("Running", conditions=[{"type": "Ready", "status": "True"}])
    leaving = _pulling()
    leaving["metadata"]["deletionTimestamp"] = "now"

    assert pods.problems([ready, leaving]) == []


def test_an_unschedulable_pod_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}

    status = pods.pod_status(_pod(conditions=[condition]))

    assert status == Waiting("pod web-1 cannot be scheduled: 0/1 nodes are available: 1 Insufficient cpu.")


def test_a_pod_is_ready_when_ready_or_done_and_failed_when_failed() -> None:
    assert pods.pod_status(_pod("Running", conditions=[{"type": "Ready", "status": "True"}])) == Ready()
    assert pods.pod_status(_pod("Succeeded")) == Ready()
    assert pods.pod_status(_pod("Failed", reason="Evicted")) == Failed("pod web-1 failed: Evicted")


def _statefulset(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "db", "generation": 1},
        "spec": {"replicas": 3, **(spec or {})},
        "status": {"observedGeneration": 1, "readyReplicas": 3, **status},
    }


def test_a_statefulset_is_ready_when_its_pods_are_updated_and_ready() -> None:
    same = {"currentRevision": "a", "updateRevision": "a"}
    rolling = {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}

    assert workloads.statefulset_status(_statefulset(**same), []) == Ready()
    assert workloads.statefulset_status(_statefulset(**rolling), []) == Waiting("1 of 3 pods updated")
    assert workloads.statefulset_status(_statefulset(**{**same, "readyReplicas": 2}), []) == Waiting(
        "2 of 3 pods ready"
    )


def test_a_statefulset_with_a_partition_waits_for_the_pods_above_it_only() -> None:
    spec = {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}
    rolling = {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1}

    assert workloads.statefulset_status(_statefulset(spec, **rolling), []) == Ready()


def test_a_daemonset_waits_for_its_pods_on_every_node() -> None:
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}
    daemonset = {"metadata": {"name": "d", "generation": 1}, "spec": {}, "status": status}

    assert workloads.daemonset_status(daemonset, []) == Waiting("1 of 2 pods available")
    status["numberAvailable"] = 2
    assert workloads.daemonset_status(daemonset, []) == Ready()


def _job(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "j"}, "spec": spec or {}, "status": status}


def test_a_job_is_ready_when_complete_and_failed_with_the_reason_of_its_pod() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]}
    pod = _pod("Failed", containerStatuses=[{"name": "app", "state": {"terminated": {"exitCode": 7}}}])

    assert jobs.job_status(_job(conditions=[{"type": "Complete", "status": "True"}]), []) == Ready()
    status = jobs.job_status(_job(**failed), [pod])
    assert isinstance(status, Failed)
    assert "backoff limit" in status.reason
    assert "exited with code 7" in status.reason


def test_a_running_job_counts_and_a_suspended_one_is_not_waited_for() -> None:
    assert jobs.job_status(_job({"completions": 2}, succeeded=1, failed=1), []) == Waiting(
        "1 of 2 completed, 1 pods failed"
    )
    assert jobs.job_status(_job({"suspend": True}), []) == Ready()


def _service(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "s"}, "spec": {"selector": {"app": "x"}, **spec}, "status": {}}


def test_a_service_is_ready_when_one_endpoint_is() -> None:
    not_ready = {"endpoints": [{"conditions": {"ready": False}}]}

    assert network.service_status(_service(), [not_ready]) == Waiting("no ready pod matches its selector app=x")
    assert network.service_status(_service(), [not_ready, {"endpoints": [{"conditions": {"ready": True}}]}]) == Ready()
    assert network.service_status(_service(), [{"endpoints": [{"addresses": ["1.2.3.4"]}]}]) == Ready()


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName"}, {"selector": None}])
def test_services_that_need_no_endpoints_are_not_waited_for(spec: dict[str, Any]) -> None:
    assert network.service_status(_service(**spec), []) == Ready()


def test_a_load_balancer_needs_an_address() -> None:
    service = _service(type="LoadBalancer")

    assert isinstance(network.service_status(service, [{"endpoints": [{}]}]), Waiting)
    service["status"] = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    assert network.service_status(service, [{"endpoints": [{}]}]) == Ready()


def test_a_claim_is_ready_when_bound_or_when_its_class_waits_for_a_pod() -> None:
    claim = {"metadata": {"name": "c"}, "spec": {"storageClassName": "local"}, "status": {"phase": "Pending"}}

    assert isinstance(storage.claim_status(claim, [{"volumeBindingMode": "Immediate"}]), Waiting)
    assert storage.claim_status(claim, [{"volumeBindingMode": "WaitForFirstConsumer"}]) == Ready()
    assert storage.claim_status({**claim, "status": {"phase": "Bound"}}, []) == Ready()
    assert isinstance(storage.claim_status({**claim, "status": {"phase": "Lost"}}, []), Failed)


def test_a_definition_is_ready_when_it_is_served() -> None:
    established = {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
    clash = {"status": {"conditions": [{"type": "NamesAccepted", "status": "False", "message": "taken"}]}}

    assert crd_status(established) == Ready()
    assert crd_status({}) == Waiting("the API server does not serve it yet")
    assert isinstance(crd_status(clash), Failed)


def test_selectors_are_written_as_queries_take_them() -> None:
    selector = {
        "matchLabels": {"a": "b"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["1", "2"]},
            {"key": "d", "operator": "DoesNotExist"},
        ],
    }

    assert selector_text(selector) == "a=b,c in (1,2),!d"


RAY_JOB = {
    "metadata": {"generation": 3},
    "status": {
        "jobStatus": "RUNNING",
        "ready": True,
        "count": 2,
        "items": [{"name": "a", "state": "ok"}, {"name": "b", "state": "bad"}],
        "observedGeneration": 3,
        "conditions": [{"type": "Ready", "status": "False", "reason": "Validation", "message": "wrong"}],
    },
}


@pytest.mark.parametrize(
    "annotation",
    [
        "jsonpath={.status.jobStatus}=RUNNING",
        "jsonpath={.status.jobStatus}",
        "jsonpath=.status.jobStatus=RUNNING",
        "jsonpath={.status.count}=2",
        "jsonpath={.status.ready}=true",
        "jsonpath={.status.items[?@.name=='a'].state}=ok",
        'jsonpath={.status.items[?(@.name=="a")].state}="ok"',
        "condition=Ready=False",
        "condition=Ready=false",
        '["jsonpath={.status.count}=2", "condition=Ready=False"]',
    ],
)
def test_wait_for_holds(annotation: str) -> None:
    assert custom.custom_status(custom.parse(annotation), RAY_JOB) == Ready()


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("jsonpath={.status.jobStatus}=SUCCEEDED", "RUNNING, not SUCCEEDED"),
        ("jsonpath={.status.end}", "not there yet"),
        ("jsonpath={.status.items[*].state}=ok", "ok, bad, not ok"),
        ("condition=Ready", "condition Ready is False (Validation: wrong)"),
        ("condition=Other", "no condition Other yet"),
        ('["condition=Ready=False", "jsonpath={.status.end}"]', "not there yet"),
    ],
)
def test_wait_for_does_not_hold_and_says_why(annotation: str, reason: str) -> None:
    status = custom.custom_status(custom.parse(annotation), RAY_JOB)

    assert isinstance(status, Waiting)
    assert reason in status.reason


def test_a_condition_about_an_older_version_does_not_count() -> None:
    ready = [{"type": "Ready", "status": "True"}]
    stale = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": ready}}

    assert isinstance(custom.custom_status(custom.parse("condition=Ready"), stale), Waiting)


@pytest.mark.parametrize(
    "annotation", ["Ready", "condition=", "jsonpath={.a[}", "[]", '["condition=Ready"', "jsonpath=", '[{"a": 1}]']
)
def test_an_annotation_that_makes_no_sense_is_refused(annotation: str) -> None:
    with pytest.raises(custom.WaitForError, match=r"pulumi\.com/waitFor"):
        custom.parse(annotation)


def test_annotations_and_timeouts_choose_the_wait() -> None:
    deployment = GroupVersionKind("apps", "v1", "Deployment")

    def annotated(**annotations: str) -> dict[str, Any]:
        return {"metadata": {"annotations": {f"pulumi.com/{key}": value for key, value in annotations.items()}}}

    assert registry.find(deployment, {}) is registry.BY_KIND["apps", "Deployment"]
    assert registry.find(deployment, annotated(skipAwait="true")) is None
    assert registry.find(GroupVersionKind("ray.io", "v1", "RayJob"), {}) is None
    assert registry.find(GroupVersionKind("ray.io", "v1", "RayJob"), annotated(waitFor="condition=Ready")) is not None
    assert registry.timeout_s(0, {}, 300) == 300
    assert registry.timeout_s(0, annotated(timeoutSeconds="45"), 300) == 45
    assert registry.timeout_s(20, annotated(timeoutSeconds="45"), 300) == 20
    with pytest.raises(custom.WaitForError, match="no number of seconds"):
        registry.timeout_s(0, annotated(timeoutSeconds="soon"), 300)
