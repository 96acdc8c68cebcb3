"""Runs that start by the clock: a CronJob whose Jobs make RayJobs of a template.

Not KubeRay's RayCronJob: in 1.6.2 it is alpha behind a gate, and knows neither a time zone nor one run at a time, nor
an end of its history. Here Kubernetes' own CronJob keeps the clock. Each of its Jobs makes a RayJob that belongs to it
and lasts as long as it, so that whatever a CronJob does with its Jobs it does with the runs: forbids a second one,
replaces the first, deletes the old ones. The template is a suspended RayJob: checked by the API server, KubeRay and the
policies like any other, and long before three o'clock at night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource

from infra.kubernetes.objects import register
from infra.kubernetes.security import container_context, pod_context, resources
from infra.ray import starter
from infra.ray.cluster import ROLE_LABEL, labels
from infra.ray.job import JobSpec
from infra.ray.naming import checked
from infra.settings.schedule import Schedule

ROLE = "schedule"
_GROUP = "rbac.authorization.k8s.io"
# `<run>-<8 digits>` must be a RayJob's name, and `<run>-schedule` a CronJob's, of at most 47 and 52 characters.
MAX_RUN = 38
_CONCURRENCY = {"forbid": "Forbid", "replace": "Replace"}
# A pod that is lost is replaced so often; one whose run failed is not.
_RETRIES = 6


@dataclass(frozen=True)
class ScheduleSpec:
    """`run.name` is the template's name, and the first part of every run's."""

    run: JobSpec
    schedule: Schedule

    @property
    def title(self) -> str:
        return f"{checked(self.run.name, MAX_RUN)}-schedule"


def schedule_manifests(spec: ScheduleSpec) -> dict[str, dict[str, Any]]:
    """What starts the runs, beside their template; by Pulumi name, in the order in which they need each other."""
    rules = [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]},
        # Asked where an admission plugin guards who may hold up an owner's deletion.
        {"apiGroups": ["batch"], "resources": ["jobs/finalizers"], "verbs": ["update"]},
    ]
    subject = {"kind": "ServiceAccount", "name": spec.title, "namespace": spec.run.cluster.around.namespace}
    reference = {"apiGroup": _GROUP, "kind": "Role", "name": spec.title}
    return {
        "account": _manifest(spec, "v1", "ServiceAccount", {"automountServiceAccountToken": False}),
        "role": _manifest(spec, f"{_GROUP}/v1", "Role", {"rules": rules}),
        "binding": _manifest(spec, f"{_GROUP}/v1", "RoleBinding", {"roleRef": reference, "subjects": [subject]}),
        "schedule": _manifest(spec, "batch/v1", "CronJob", {"spec": _cron(spec)}),
    }


def _cron(spec: ScheduleSpec) -> dict[str, Any]:
    schedule = spec.schedule
    return {
        "schedule": schedule.cron,
        "timeZone": schedule.timezone,
        "suspend": schedule.suspend,
        "concurrencyPolicy": _CONCURRENCY[schedule.concurrency],
        "startingDeadlineSeconds": schedule.starting_deadline_seconds,
        "successfulJobsHistoryLimit": schedule.history.succeeded,
        "failedJobsHistoryLimit": schedule.history.failed,
        "jobTemplate": {
            "metadata": {"labels": _labels(spec)},
            "spec": {
                "backoffLimit": _RETRIES,
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {"containerName": ROLE, "operator": "In", "values": [starter.RUN_FAILED]},
                        },
                        # A node that goes away takes the pod, and not the run.
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    ]
                },
                "template": _pod(spec),
            },
        },
    }


def _pod(spec: ScheduleSpec) -> dict[str, Any]:
    around = spec.run.cluster.around
    plain = {"MANTA_NAMESPACE": around.namespace, "MANTA_TEMPLATE": spec.run.name, "MANTA_SCHEDULE": spec.title}
    own = {"MANTA_JOB": "batch.kubernetes.io/job-name", "MANTA_JOB_UID": "batch.kubernetes.io/controller-uid"}
    template = {
        "metadata": {"labels": _labels(spec)},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": spec.title,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "securityContext": pod_context(),
            "containers": [
                {
                    "name": ROLE,
                    "image": spec.run.cluster.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", Path(starter.__file__).read_text()],
                    "env": [
                        *({"name": name, "value": value} for name, value in plain.items()),
                        *(
                            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{label}']"}}}
                            for name, label in own.items()
                        ),
                    ],
                    "resources": resources("20m", "64Mi", "500m", "256Mi"),
                    "securityContext": container_context(read_only=True),
                }
            ],
        },
    }
    return around.placements.cpu.apply(template)


def _labels(spec: ScheduleSpec) -> dict[str, str]:
    return {**labels(spec.run.cluster.stack, spec.run.name), ROLE_LABEL: ROLE}


def _manifest(spec: ScheduleSpec, version: str, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": spec.title, "namespace": spec.run.cluster.around.namespace, "labels": _labels(spec)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


class ScheduledRuns(pulumi.ComponentResource):
    """The bundle, the template, and what starts runs of it; the CronJob goes first, and with it every run."""

    def __init__(
        self,
        name: str,
        template: dict[str, Any],
        bundle: dict[str, Any],
        manifests: Mapping[str, dict[str, Any]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("manta:ray:ScheduledRuns", name, None, opts)
        code = register("bundle", bundle, pulumi.ResourceOptions(parent=self))
        before: list[pulumi.Resource] = [
            CustomResource(
                "template",
                api_version=template["apiVersion"],
                kind=template["kind"],
                metadata=template["metadata"],
                spec=template["spec"],
                opts=pulumi.ResourceOptions(parent=self, depends_on=[code]),
            )
        ]
        for title, manifest in manifests.items():
            before.append(register(title, manifest, pulumi.ResourceOptions(parent=self, depends_on=before[:])))
        self.register_outputs({"name": template["metadata"]["name"]})
