"""Runs by the clock: what a stack file may say of them, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from infra.contract import Contract
from infra.layers.train import job_spec
from infra.ray import schedule
from infra.ray.job import job_manifest
from infra.ray.naming import MAX_RAY_JOB
from infra.ray.starter import run_name
from infra.settings import TrainSettings
from infra.settings.schedule import Schedule
from infra.stack import StackName
from tests.contract.manifests import scheduled
from tests.unit.infra.conftest import train_values

STACK = StackName("train", "local")


def manifests(contract: Contract, said: Any, stack: StackName = STACK) -> dict[str, Any]:
    settings = TrainSettings.model_validate(train_values(schedule=said))
    assert settings.schedule
    spec = schedule.ScheduleSpec(job_spec(stack, settings, contract, "c0de"), settings.schedule)
    return {"template": job_manifest(spec.run), **schedule.schedule_manifests(spec)}


def test_a_text_alone_is_when_to_run(contract: Contract) -> None:
    cron = manifests(contract, "0 3 * * *")["schedule"]["spec"]
    assert (cron["schedule"], cron["timeZone"], cron["concurrencyPolicy"], cron["suspend"]) == (
        "0 3 * * *", "Etc/UTC", "Forbid", False,
    )  # fmt: skip


def test_everything_that_is_said_reaches_the_cron_job(contract: Contract) -> None:
    said = {
        "cron": "*/30 8-18 * * mon-fri",
        "timezone": "Europe/Berlin",
        "suspend": True,
        "concurrency": "replace",
        "history": {"succeeded": 7, "failed": 1},
        "startingDeadlineSeconds": 120,
    }
    cron = manifests(contract, said)["schedule"]["spec"]
    assert {key: value for key, value in cron.items() if key != "jobTemplate"} == {
        "schedule": "*/30 8-18 * * mon-fri",
        "timeZone": "Europe/Berlin",
        "suspend": True,
        "concurrencyPolicy": "Replace",
        "startingDeadlineSeconds": 120,
        "successfulJobsHistoryLimit": 7,
        "failedJobsHistoryLimit": 1,
    }


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("0 3 * *", "minute, hour, day, month and weekday"),
        ("TZ=Europe/Berlin 0 3 * * *", "minute, hour, day, month and weekday"),
        ({"cron": "@reboot"}, "minute, hour, day, month and weekday"),
        ({"cron": "0 3 * * *", "timezone": "Berlin"}, "IANA"),
        ({"cron": "0 3 * * *", "concurrency": "allow"}, "forbid"),
        ({"cron": "0 3 * * *", "startingDeadlineSeconds": 5}, "10"),
        ({"cron": "0 3 * * *", "timeZone": "Europe/Berlin"}, "Extra inputs"),
    ],
)
def test_a_schedule_that_would_not_run_as_meant_is_refused(said: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Schedule.model_validate(said)


def test_the_template_is_a_run_that_does_not_start(contract: Contract) -> None:
    template = manifests(contract, "0 3 * * *")["template"]
    assert template["spec"]["suspend"] is True
    assert template["metadata"]["labels"]["manta/role"] == "template"
    assert template["metadata"]["name"] == "train", "its name is no run's, so that a changed one is changed in place"


def test_a_run_without_a_schedule_is_not_suspended(contract: Contract, train_stack: StackName) -> None:
    spec = job_spec(train_stack, TrainSettings.model_validate(train_values()), contract, "c0de")
    assert "suspend" not in job_manifest(spec)["spec"]


def test_who_starts_runs_may_read_and_make_them_and_no_more() -> None:
    found = scheduled()
    granted = {(group, kind, verb) for rule in found["role"]["rules"] for group in rule["apiGroups"]
               for kind in rule["resources"] for verb in rule["verbs"]}  # fmt: skip
    assert granted == {
        ("ray.io", "rayjobs", "get"), ("ray.io", "rayjobs", "create"), ("batch", "jobs/finalizers", "update"),
    }  # fmt: skip
    pod = found["schedule"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == found["account"]["metadata"]["name"] != "ray"
    assert found["binding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": found["account"]["metadata"]["name"], "namespace": "ray"}
    ]


def test_the_longest_name_that_a_stack_may_give_still_names_its_runs(contract: Contract) -> None:
    found = manifests(contract, "0 3 * * *", StackName("train", "local", "n" * 38))
    cron = found["schedule"]["metadata"]["name"]
    assert len(cron) <= 52, "the CronJob controller refuses a longer one"
    assert len(run_name("n" * 38, cron, f"{cron}-29384720", "0f1e2d3c-x")) <= MAX_RAY_JOB


def test_a_pod_that_is_lost_is_replaced_and_one_whose_run_failed_is_not() -> None:
    job = scheduled()["schedule"]["spec"]["jobTemplate"]["spec"]
    assert job["template"]["spec"]["restartPolicy"] == "Never", "a failure policy needs it"
    first, second = job["podFailurePolicy"]["rules"]
    assert (first["action"], first["onExitCodes"]["values"]) == ("FailJob", [3])
    assert (second["action"], second["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert first["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
