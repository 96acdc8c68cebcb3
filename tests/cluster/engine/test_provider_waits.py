"""Waiting on real controllers: ready when it works, failed with the reason when it does not, ended when told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from local.engine.kubernetes.values import decode
from tests.cluster.engine.provider_process import InitFailed, Provider

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
JOB = "kubernetes:batch/v1:Job"
POD = "kubernetes:core/v1:Pod"
SERVICE = "kubernetes:core/v1:Service"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
NAMESPACE = "kubernetes:core/v1:Namespace"
PAUSE = "localhost/manta/pause:1"
ABSENT = "localhost/manta/absent:1"

Kubectl = Callable[..., str]


def _pod_spec(image: str = PAUSE, **container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **container}]}


def _workload(namespace: str, name: str, image: str = PAUSE, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, **_pod_spec(image)}}
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def test_a_deployment_is_awaited_through_creation_update_and_deletion(
    provider: Provider, namespace: str, kubectl: Kubectl
) -> None:
    created = provider.create(DEPLOYMENT, _workload(namespace, "web", replicas=1), timeout=120)
    assert created.value["status"]["availableReplicas"] == 1
    assert "pods available" in provider.engine.texts(), "a person sees what is waited for"

    updated = provider.update(created, _workload(namespace, "web", replicas=2), timeout=120)
    assert updated.value["status"]["availableReplicas"] == 2

    provider.delete(updated, timeout=120)
    assert kubectl("get", "pods", "-n", namespace, "-o", "name") == "", "foreground deletion waits for the pods"


def test_a_deployment_whose_image_is_missing_says_so_and_keeps_its_state(provider: Provider, namespace: str) -> None:
    with pytest.raises(InitFailed, match=r"Deployment .*/web was not ready after 15 s: .*absent") as caught:
        provider.create(DEPLOYMENT, _workload(namespace, "web", ABSENT), timeout=15)

    assert caught.value.details.id == f"{namespace}/web"
    state = decode(caught.value.details.properties).value
    assert state["metadata"]["uid"]
    assert state["__fieldManager"].startswith("pulumi-kubernetes-")
    assert "ImagePull" in provider.engine.texts()


def test_a_deployment_that_never_progresses_fails_before_the_timeout(provider: Provider, namespace: str) -> None:
    start = time.monotonic()

    with pytest.raises(InitFailed, match=r"timed out progressing; container main of pod .*absent"):
        provider.create(DEPLOYMENT, _workload(namespace, "web", ABSENT, progressDeadlineSeconds=5), timeout=120)

    assert time.monotonic() - start < 60


def test_stateful_and_daemon_sets_are_awaited(provider: Provider, namespace: str) -> None:
    stateful = provider.create(STATEFUL_SET, _workload(namespace, "db", serviceName="db"), name="db", timeout=120)
    daemon = provider.create(DAEMON_SET, _workload(namespace, "agent"), name="agent", timeout=120)

    assert stateful.value["status"]["readyReplicas"] == 1
    assert daemon.value["status"]["numberAvailable"] >= 1


def test_a_service_waits_for_an_endpoint_unless_it_needs_none(provider: Provider, namespace: str) -> None:
    def service(name: str, **spec: Any) -> dict[str, Any]:
        spec = {"ports": [{"port": 80}], **spec}
        return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}

    provider.create(SERVICE, service("headless", clusterIP="None", selector={"app": "web"}), name="h", timeout=5)
    provider.create(SERVICE, service("bare"), name="b", timeout=5)
    with pytest.raises(InitFailed, match="no ready pod matches its selector app=web"):
        provider.create(SERVICE, service("early", selector={"app": "web"}), name="e", timeout=3)

    provider.create(DEPLOYMENT, _workload(namespace, "web"), name="d", timeout=120)

    provider.create(SERVICE, service("late", selector={"app": "web"}), name="l", timeout=60)


def test_a_failed_job_is_an_error_with_its_pods_reason(provider: Provider, namespace: str) -> None:
    template = {"spec": {"restartPolicy": "Never", **_pod_spec(command=["/no-such-program"])}}
    inputs = {
        "metadata": {"namespace": namespace, "name": "j"},
        "spec": {"backoffLimit": 0, "template": template},
    }

    with pytest.raises(InitFailed, match=r"the Job failed: .*no-such-program"):
        provider.create(JOB, inputs, timeout=120)


def test_a_pod_that_is_ready_is_awaited(provider: Provider, namespace: str) -> None:
    inputs = {"metadata": {"namespace": namespace, "name": "p"}, "spec": _pod_spec()}

    created = provider.create(POD, inputs, timeout=120)

    assert created.value["status"]["phase"] == "Running"
    provider.delete(created, timeout=120)


def test_claims_wait_for_a_volume_unless_their_class_waits_for_a_pod(provider: Provider, namespace: str) -> None:
    for mode in ("Immediate", "WaitForFirstConsumer"):
        inputs = {
            "metadata": {"name": f"{namespace}-{mode.lower()}"},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": mode,
        }
        storage_class = provider.create(CLASS, inputs, name=mode)
        claim = {
            "metadata": {"namespace": namespace, "name": mode.lower()},
            "spec": {
                "storageClassName": storage_class.id,
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }
        if mode == "Immediate":
            with pytest.raises(InitFailed, match="no volume is bound to it"):
                provider.create(CLAIM, claim, name=f"claim-{mode}", timeout=3)
        else:
            provider.create(CLAIM, claim, name=f"claim-{mode}", timeout=3)
        provider.delete(storage_class)


def test_wait_for_holds_until_the_field_says_so(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    annotations = {"pulumi.com/waitFor": '["jsonpath={.data.state}=done", "jsonpath={.data.more}"]'}
    inputs = {"metadata": {"namespace": namespace, "name": "x", "annotations": annotations}, "data": {"a": "1"}}

    def finish() -> None:
        time.sleep(3)
        data = json.dumps({"data": {"state": "done", "more": "1"}})
        kubectl("patch", "cm", "x", "-n", namespace, "--type=merge", "-p", data)

    worker = threading.Thread(target=finish)
    worker.start()
    created = provider.create(CONFIG_MAP, inputs, timeout=60)
    worker.join()

    assert created.value["data"]["state"] == "done"
    assert ".data.state is not there yet" in provider.engine.texts()


def test_skip_await_and_the_timeout_annotation_are_honoured(provider: Provider, namespace: str) -> None:
    skipped = _workload(namespace, "skipped", ABSENT)
    skipped["metadata"]["annotations"] = {"pulumi.com/skipAwait": "true"}
    provider.create(DEPLOYMENT, skipped, name="skipped")

    short = _workload(namespace, "short", ABSENT)
    short["metadata"]["annotations"] = {"pulumi.com/timeoutSeconds": "2"}
    with pytest.raises(InitFailed, match="not ready after 2 s"):
        provider.create(DEPLOYMENT, short, name="short")


def test_a_senseless_wait_is_refused_before_anything_is_created(provider: Provider, namespace: str) -> None:
    metadata = {"namespace": namespace, "annotations": {"pulumi.com/waitFor": "Ready"}}

    failures = provider.check(CONFIG_MAP, {"metadata": metadata}).failures

    assert 'pulumi.com/waitFor: "Ready" is neither' in failures[0].reason


def test_cancelling_ends_a_wait_at_once_and_keeps_the_state(
    start_provider: Callable[..., Provider], namespace: str
) -> None:
    provider = start_provider()
    threading.Timer(3, provider.cancel).start()
    start = time.monotonic()

    with pytest.raises(InitFailed, match="was cancelled while Deployment") as caught:
        provider.create(DEPLOYMENT, _workload(namespace, "web", ABSENT), timeout=600)

    assert time.monotonic() - start < 20
    assert caught.value.details.id == f"{namespace}/web"


def test_deletion_waits_for_finalizers_and_says_so(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    metadata = {"namespace": namespace, "name": "x", "finalizers": ["example.com/held"]}
    created = provider.create(CONFIG_MAP, {"metadata": metadata})

    with pytest.raises(grpc.RpcError, match=r"not gone after 2 s: waiting for its finalizers \(.*example\.com/held"):
        provider.delete(created, timeout=2)
    kubectl("patch", "cm", "x", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    provider.delete(created, timeout=60)


def test_orphaned_objects_stay_when_their_owner_goes(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    inputs = _workload(namespace, "web")
    inputs["metadata"]["annotations"] = {"pulumi.com/deletionPropagationPolicy": "orphan"}
    created = provider.create(DEPLOYMENT, inputs, timeout=120)

    provider.delete(created, timeout=60)

    assert "replicaset" in kubectl("get", "rs", "-n", namespace, "-o", "name")


def test_a_namespace_is_gone_with_everything_in_it(provider: Provider, namespace: str, kubectl: Kubectl) -> None:
    inner = f"{namespace}-inner"
    created = provider.create(NAMESPACE, {"metadata": {"name": inner}}, name="ns")
    provider.create(CONFIG_MAP, {"metadata": {"namespace": inner, "name": "x"}}, name="cm")

    provider.delete(created, timeout=120)

    assert "NotFound" in kubectl("get", "namespace", inner, check=False)
