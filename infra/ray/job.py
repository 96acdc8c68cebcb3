"""A training run as one RayJob."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra.kubernetes.objects import register
from infra.kubernetes.security import container_context, pod_context, resources
from infra.ray import cluster
from infra.ray.specs import BUNDLE_FILE, ClusterSpec
from infra.ray.starter import TEMPLATE_ROLE

API_VERSION = "ray.io/v1"
SUBMITTER = "submitter"


@dataclass(frozen=True)
class JobSpec:
    """One run. `name` ends in the hash of what makes the run; `deadline_seconds` counts per attempt."""

    name: str
    cluster: ClusterSpec
    entrypoint: str
    deadline_seconds: int
    retries: int
    ttl_seconds: int
    template: bool = False  # what a schedule makes its runs of; does not run itself


def entrypoint(module: str, flags: Mapping[str, Any]) -> str:
    """`python -m module --flag value ...`, quoted: KubeRay pastes it raw into a bash script."""
    words = ["python", "-m", module]
    for name, value in flags.items():
        words += [f"--{name.replace('_', '-')}", _text(value)]
    return shlex.join(words)


def job_manifest(spec: JobSpec) -> dict[str, Any]:
    around = spec.cluster.around
    role = {cluster.ROLE_LABEL: TEMPLATE_ROLE} if spec.template else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "RayJob",
        "metadata": {
            "name": spec.name,
            "namespace": around.namespace,
            "labels": {**cluster.labels(spec.cluster.stack, spec.cluster.run), **role},
            # Green as soon as the operator has taken the run on; its end is awaited by infra.ray.wait, since no
            # annotation can tell a failure from a job that is still running.
            "annotations": {"pulumi.com/waitFor": "jsonpath={.status.jobDeploymentStatus}"},
        },
        "spec": {
            "submissionMode": "K8sJobMode",
            "entrypoint": spec.entrypoint,
            # KubeRay deletes the Ray cluster, never the RayJob, which is Pulumi's.
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": spec.ttl_seconds,
            # Without a deadline KubeRay 1.6.2 retries an unreachable dashboard for ever.
            "activeDeadlineSeconds": spec.deadline_seconds,
            "backoffLimit": spec.retries,
            "rayClusterSpec": cluster.cluster_spec(spec.cluster),
            "submitterPodTemplate": _submitter(spec),
            "submitterConfig": {"backoffLimit": 2},
            **({"suspend": True} if spec.template else {}),
        },
    }


def bundle_manifest(name: str, namespace: str, encoded: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "binaryData": {BUNDLE_FILE: encoded},
        "immutable": True,
    }


class Run(pulumi.ComponentResource):
    """The bundle and the RayJob that runs it."""

    def __init__(
        self,
        name: str,
        manifest: dict[str, Any],
        bundle: dict[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("manta:ray:Run", name, None, opts)
        code = register("bundle", bundle, pulumi.ResourceOptions(parent=self))
        self.job = CustomResource(
            "job",
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            metadata=manifest["metadata"],
            spec=manifest["spec"],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[code],
                # KubeRay ignores edits of a submitted RayJob: any change of its spec is a new RayJob, and under an
                # unchanged name (a resumed run in another shape) the old one must go first.
                replace_on_changes=["spec"],
                delete_before_replace=True,
            ),
        )
        self.register_outputs({"name": manifest["metadata"]["name"]})


def _submitter(spec: JobSpec) -> dict[str, Any]:
    # KubeRay's own submitter has no security context, and the namespace would refuse it.
    return {
        "metadata": {"labels": {**cluster.labels(spec.cluster.stack, spec.cluster.run), cluster.ROLE_LABEL: SUBMITTER}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": spec.cluster.around.service_account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_context(),
            "containers": [
                {
                    "name": "ray-job-submitter",
                    "image": spec.cluster.image,
                    "imagePullPolicy": "IfNotPresent",
                    "resources": resources("50m", "200Mi", "1", "1Gi"),
                    "securityContext": container_context(),
                }
            ],
        },
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
