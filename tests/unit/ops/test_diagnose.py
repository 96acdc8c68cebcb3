"""What a diagnosis says of failures that were recorded on a real cluster, and of words that others have printed."""

from __future__ import annotations

import datetime
import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from ops.__main__ import app
from ops.diagnose.diagnosis import CAUSES, UNKNOWN, Finding, diagnose
from ops.diagnose.evidence import Evidence
from tests.unit.ops import failures, recordings

NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)
RUNS = {
    "rayjob failures/no-worker-node": "run-not-started",
    "rayjob failures/too-late": "run-too-long",
    "rayjob failures/app-fails": "module-missing",
    "rayjob failures/submission-fails": "run-not-submitted",
    "pod failures/submission-fails-6v5vr": "working-dir",
    "job failures/submission-fails": "job-gave-up",
    "rayjob failures/misspelt-mode": "run-never-submitted",
    "rayjob failures/no-token": "run-stuck",
    "rayservice failures/bad-import": "module-missing",
    "raycluster failures-quota/over-quota-xg2kf": "pod-security",
    "pod failures/no-worker-node-jmmw9-workers-worker-p2dv8": "selector",
    "pod failures/no-token-r424g-head-7k6d8": "config-missing",
}


def causes(found: list[Finding]) -> dict[str, set[str]]:
    by_thing: dict[str, set[str]] = {}
    for finding in found:
        for thing in finding.things:
            by_thing.setdefault(thing, set()).add(finding.cause)
    return by_thing


@pytest.fixture(scope="module")
def recorded() -> dict[str, set[str]]:
    return {**causes(diagnose(recordings.load("pods"))), **causes(diagnose(recordings.load("runs")))}


@pytest.mark.parametrize(("thing", "cause"), [*failures.EXPECTED.items(), *RUNS.items()])
def test_a_recorded_failure_is_called_by_its_name(recorded: dict[str, set[str]], thing: str, cause: str) -> None:
    assert recorded[thing] == {cause}


def test_a_run_that_kuberay_refuses_is_said_with_its_reason() -> None:
    (finding,) = [each for each in diagnose(recordings.load("runs")) if each.cause == "run-invalid"]
    assert "RayJob name should be no more than 47 characters" in finding.why


def test_what_is_well_is_not_said_to_be_ill(recorded: dict[str, set[str]]) -> None:
    assert "pod failures/affinity" not in recorded
    assert UNKNOWN not in set().union(*recorded.values())


def test_what_comes_first_is_said_first() -> None:
    found = [finding.cause for finding in diagnose(recordings.load("runs"))]
    assert found.index("selector") < found.index("run-not-started")


def test_pods_that_fail_alike_are_said_once() -> None:
    (finding,) = [each for each in diagnose(recordings.load("pods")) if each.cause == "image-not-loaded"]
    assert finding.things == ("pod failures/never-pull", "pod failures/no-image")


def thing(kind: str, name: str = "it", /, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ray", "uid": f"{kind} {name}", "creationTimestamp": "2026-11-21T11:00:00Z"}
    return {"kind": kind, "metadata": metadata, "status": status}


def event(about: dict[str, Any], text: str) -> dict[str, Any]:
    reason, _, message = text.partition(": ")
    reference = {"kind": about["kind"], "uid": about["metadata"]["uid"]}
    return {"kind": "Event", "type": "Warning", "reason": reason, "message": message, "involvedObject": reference}


def said(place: str, text: str) -> Evidence:
    """`text` where Kubernetes, Karpenter, KubeRay or a program would have said it."""
    if place == "log":
        status = {"name": "main", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
        return Evidence((thing("Pod", phase="Failed", containerStatuses=[status]),), NOW, {"ray/it/main": text})
    if place == "node claim":
        reason, _, message = text.partition(": ")
        condition = {"type": "Launched", "status": "Unknown", "reason": reason, "message": message}
        return Evidence((thing("NodeClaim", conditions=[condition]),), NOW)
    if place == "schedule":
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
        return Evidence((thing("Pod", phase="Pending", conditions=[condition]),), NOW)
    if place == "wait":
        reason, _, message = text.partition(": ")
        container = {"name": "main", "state": {"waiting": {"reason": reason, "message": message}}}
        return Evidence((thing("Pod", phase="Pending", containerStatuses=[container]),), NOW)
    if place == "pod":
        reason, _, message = text.partition(": ")
        return Evidence((thing("Pod", phase="Failed", reason=reason, message=message),), NOW)
    if place == "run":
        reason, _, message = text.partition(": ")
        return Evidence((thing("RayJob", jobDeploymentStatus="Failed", reason=reason, message=message),), NOW)
    if place == "endpoint":
        state, _, message = text.partition(": ")
        applications = {"digits": {"status": state, "message": message}}
        return Evidence((thing("RayService", activeServiceStatus={"applicationStatuses": applications}),), NOW)
    about = thing(place, phase="Pending") if place == "Pod" else thing(place)
    return Evidence((about, event(about, text)), NOW)


# Words of Karpenter 1.14.1, EC2, Ray 2.60, torch, botocore and the kubelet, in the form in which they write them.
WORDS = [
    ("node claim", "LaunchFailed: AuthFailure.ServiceLinkedRoleCreationNotPermitted: The provided credentials do not "
     "have permission to create the service-linked role for EC2 Spot Instances.", "spot-role-missing"),
    ("NodeClaim", "InsufficientCapacityError: MaxSpotInstanceCountExceeded: Max spot instance count exceeded",
          "spot-quota"),
    ("NodeClaim", "InsufficientCapacityError: VcpuLimitExceeded: You have requested more vCPU capacity than your "
     "current vCPU limit of 0 allows", "vcpu-quota"),
    ("NodeClaim", "InsufficientCapacityError: NodeClaim gpu-spot-x event: creating instance, insufficient capacity, "
     "with fleet error(s), InsufficientInstanceCapacity", "no-capacity"),
    ("NodeClaim", "InsufficientCapacityError: InsufficientFreeAddressesInSubnet: not enough free addresses",
          "subnet-full"),
    ("node claim", "LaunchFailed: UnauthorizedOperation: You are not authorized to perform this operation",
          "launch-forbidden"),
    ("NodePool", "NoCompatibleInstanceTypes: NodePool requirements filtered out all compatible available instance "
          "types",
     "no-type-fits"),
    ("Pod", "FailedScheduling: Failed to schedule pod, all available instance types exceed limits for nodepool, "
     'NodePool={"name":"gpu-spot"}', "pool-limit"),
    ("Pod", "FailedScheduling: Failed to schedule pod, node limits have been exhausted for nodepool", "pool-limit"),
    ("schedule", "0/3 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: true}, 2 Insufficient cpu.",
     "too-large"),
    ("schedule", "0/1 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: true}.", "taint"),
    ("schedule", "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
     "node-not-ready"),
    ("schedule", "0/1 nodes are available: 1 node(s) were unschedulable.", "cordoned"),
    ("schedule", "0/2 nodes are available: 2 node(s) had volume node affinity conflict.", "volume-elsewhere"),
    ("wait", "ImagePullBackOff: failed to pull: 1.dkr.ecr.us-east-1.amazonaws.com/x@sha256:0: not found",
          "image-unknown"),
    ("wait", "ErrImagePull: failed to authorize: unexpected status: 401 Unauthorized", "image-forbidden"),
    ("wait", "CreateContainerConfigError: couldn't find key auth_token in Secret ray/ray-auth", "config-key-missing"),
    ("wait", "CreateContainerConfigError: container has runAsNonRoot and image will run as root", "root-image"),
    ("Pod", "FailedAttachVolume: Multi-Attach error for volume pvc-1 Volume is already used by pod(s) a",
          "volume-busy"),
    ("Pod", "FailedCreatePodSandBox: plugin type=aws-cni failed: failed to assign an IP address to container",
     "subnet-full"),
    ("pod", "Evicted: The node was low on resource: memory. Threshold quantity: 100Mi", "node-pressure"),
    ("pod", "TerminationByKubelet: Pod was terminated in response to imminent node shutdown.", "preempted"),
    ("log", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "gpu-memory"),
    ("log", "RuntimeError: No CUDA GPUs are available", "no-gpu-in-container"),
    ("log", "Some workers of the worker process(12) have not registered within the timeout.", "worker-register"),
    ("log", "ray.exceptions.OutOfMemoryError: 2 worker(s) were killed due to the node running low on memory.",
     "ray-memory"),
    ("log", "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.59.0", "version-mismatch"),
    ("log", "Token authentication is enabled but the authentication token is invalid or incorrect.", "token"),
    ("log", "botocore.errorfactory.NoSuchBucket: An error occurred (NoSuchBucket) when calling PutObject",
          "bucket-missing"),
    ("log", "botocore.exceptions.NoCredentialsError: Unable to locate credentials", "storage-credentials"),
    ("log", "OSError: When listing objects: AWS Error ACCESS_DENIED during ListObjectsV2 operation",
          "storage-forbidden"),
    ("log", "The worker group startup timed out after 60.0 seconds waiting for 4 workers. Potential causes",
          "train-start"),
    ("log", "Tasks: 1 [backpressured:tasks(ResourceBudget)]; Queued blocks: 12", "data-starved"),
    ("log", "There are tasks with infeasible resource requests that cannot be scheduled.", "infeasible"),
    ("log", "torch.distributed.DistBackendError: NCCL error in: x.cpp:1, ncclSystemError", "nccl"),
    ("log", "OSError: [Errno 28] No space left on device", "disk-full"),
    ("run", "AppFailed: Job entrypoint command failed with exit code 1", "run-failed"),
    ("log", "Traceback (most recent call last):\nKeyError: 'a'\n\nDuring handling of it:\nmanta.BadError: b", "raised"),
    ("log", "it ended without a word", "crash"),
    ("wait", "ErrImagePull: failed to pull and unpack image: something odd", "image-pull"),
    ("Pod", "FailedMount: MountVolume.SetUp failed for volume x : timed out", "mount"),
    ("Pod", "FailedCreatePodSandBox: failed to set up sandbox network", "network"),
    ("log", "botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: http://s3:9000",
     "storage-unreachable"),
    ("log", "ray.exceptions.ObjectStoreFullError: Failed to put object", "object-store"),
    ("log", "Failed to connect to GCS within 60 seconds", "gcs-lost"),
    ("EC2NodeClass", "NodeClassNotReady: AMIs did not resolve", "node-class-not-ready"),
    ("node claim", 'ResourceNotRegistered: Resource "nvidia.com/gpu" was requested but not registered',
     "gpu-plugin-missing"),
    ("Job", 'FailedCreate: error looking up service account ray/ray: serviceaccount "ray" not found',
     "service-account-missing"),
    ("Job", "FailedCreate: pods is forbidden: unable to create new content because it is being terminated",
     "namespace-ending"),
    ("run", "JobDeploymentStatusTransitionGracePeriodExceeded: too long", "run-ended-early"),
    ("RayService", "InvalidRayServiceSpec: serveConfigV2 is invalid", "endpoint-invalid"),
    ("RayService", "RayServiceInitializingTimeout: not ready within 10m", "endpoint-timeout"),
    ("RayService", "FailedToUpdateServeApplications: status code: 400, invalid", "serve-config-refused"),
    ("RayService", "FailedToUpdateServeApplications: Put http://head:8265: context deadline exceeded",
     "serve-head-busy"),
    ("endpoint", "DEPLOY_FAILED: the replica ended", "serve-failed"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "text", "cause"), WORDS, ids=[cause for _, _, cause in WORDS])
def test_words_that_are_known_lead_to_their_cause(place: str, text: str, cause: str) -> None:
    (finding,) = diagnose(said(place, text))
    assert finding.cause == cause, finding


def test_every_known_failure_is_tested_or_was_recorded() -> None:
    elsewhere = {"run-invalid", "run-by-hand", "stuck", "never-rolled", "not-started", "node-not-joined"}
    tested = {*failures.EXPECTED.values(), *RUNS.values(), *(cause for _, _, cause in WORDS), *elsewhere}
    assert {cause.name for cause in CAUSES} - tested == set()


def test_what_a_spec_says_is_enough_for_some() -> None:
    waiting = thing("RayJob", "waits", jobDeploymentStatus="Waiting") | {"spec": {"submissionMode": "InteractiveMode"}}
    never = thing("RayService") | {"spec": {"upgradeStrategy": {"type": "NewClusterWithIncrementalUpgrade"}}}
    kept = thing("RayCluster", "kept")
    kept["metadata"] |= {"deletionTimestamp": "2026-11-21T11:00:00Z", "finalizers": ["example.com/hold"]}
    ended = {"name": "main", "state": {"terminated": {"exitCode": 127, "reason": "Error"}}}
    gone = thing("Pod", "gone", phase="Failed", containerStatuses=[ended])
    found = causes(diagnose(Evidence((waiting, never, kept, gone), NOW)))
    assert found == {
        "rayjob ray/waits": {"run-by-hand"}, "rayservice ray/it": {"never-rolled"}, "raycluster ray/kept": {"stuck"},
        "pod ray/gone": {"not-started"},
    }  # fmt: skip


def test_a_pod_at_the_pools_limit_waits_for_that_and_not_for_the_nodes_that_are_there() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    condition["message"] = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    pod = thing("Pod", phase="Pending", conditions=[condition])
    (waiting,) = diagnose(Evidence((pod,), NOW))
    assert waiting.cause == "no-gpu"
    words = 'FailedScheduling: Failed to schedule pod, incompatible with nodepool "cpu"; all available instance types '
    (finding,) = diagnose(Evidence((pod, event(pod, f'{words}exceed limits for nodepool, NodePool="gpu-spot"')), NOW))
    assert finding.cause == "pool-limit"
    assert "manta:aws.capacity.gpu.limit" in finding.fix


def test_of_several_exceptions_the_last_one_is_said() -> None:
    (finding,) = diagnose(said("log", "Traceback:\n  x\nKeyError: 'a'\n\nDuring handling:\nmanta.BadError: b\n"))
    assert finding.why == "the program ended with manta.BadError: b"


def test_a_complaint_that_is_not_known_is_shown_as_it_is() -> None:
    (finding,) = diagnose(said("schedule", "0/1 nodes are available: the moon is full."))
    assert (finding.cause, finding.fix) == (UNKNOWN, "kubectl describe pod it -n ray")
    assert "the moon is full" in finding.said


def test_a_machine_that_was_just_launched_is_not_ill() -> None:
    claim = thing("NodeClaim", conditions=[{"type": "Registered", "status": "Unknown", "reason": "NodeNotFound"}])
    young = {**claim, "metadata": {**claim["metadata"], "creationTimestamp": "2026-11-21T11:58:00Z"}}
    assert diagnose(Evidence((young,), NOW)) == []
    assert [finding.cause for finding in diagnose(Evidence((claim,), NOW))] == ["node-not-joined"]


def test_a_run_that_ended_well_and_one_that_is_on_its_way_are_not_ill() -> None:
    jobs = [
        thing("RayJob", state, jobDeploymentStatus=state)
        for state in ("Complete", "Running", "Initializing", "Retrying")
    ]
    assert diagnose(Evidence(tuple(jobs), NOW)) == []


def test_an_event_of_a_thing_that_is_gone_is_not_laid_to_its_namesake() -> None:
    old, new = thing("Pod", phase="Pending"), thing("Pod", phase="Pending")
    old["metadata"] = {**old["metadata"], "uid": "another"}
    assert diagnose(Evidence((new, event(old, "FailedMount: it was full")), NOW)) == []


def test_thousands_of_objects_are_judged_within_a_second() -> None:
    evidence = recordings.load("pods")
    objects = [
        {**each, "metadata": {**each["metadata"], "uid": f"{number} {each['metadata']['uid']}"}}
        for number in range(60)
        for each in evidence.objects
        if each["kind"] != "Event"
    ]
    events = [each for each in evidence.objects if each["kind"] == "Event"] * 60
    started = time.process_time()
    diagnose(Evidence((*objects, *events), NOW))
    assert time.process_time() - started < 1.5


def test_the_known_failures_can_be_listed() -> None:
    listed = json.loads(CliRunner().invoke(app, ["diagnose", "--known", "--json"]).stdout)
    assert len(listed) == len(CAUSES) >= 60
    assert len({each["name"] for each in listed}) == len(listed)
    assert all(each["why"] and each["fix"] for each in listed)


def test_no_cluster_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    result = CliRunner().invoke(app, ["diagnose"])
    assert "there is no cluster to ask: set KUBECONFIG" in str(result.exception)
