"""The engine's event log as people see it: progress lines, errors once, and whether anything changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.up.events import Shown, Update, fold


def event(**body: Any) -> str:
    return json.dumps({"sequence": 1, "timestamp": 1, **body})


def diagnostic(message: str, severity: str = "info") -> str:
    return event(diagnosticEvent={"message": message, "color": "never", "severity": severity})


def step(kind: str, operation: str, name: str) -> str:
    urn = f"urn:pulumi:train-local::manta::kubernetes:ray.io/v1:RayJob::{name}"
    return event(**{kind: {"metadata": {"op": operation, "urn": urn, "type": "kubernetes:ray.io/v1:RayJob"}}})


def test_a_training_epoch_is_a_line_that_stays() -> None:
    shown = fold(Update(), diagnostic("<{%reset%}>progress: epoch 3/20 accuracy 0.981<{%reset%}>\n"))
    assert shown.line == "epoch 3/20 accuracy 0.981"


def test_an_engine_message_is_only_what_happens_now() -> None:
    shown = fold(Update(), diagnostic("waiting for 1 pod"))
    assert (shown.line, shown.detail) == (None, "waiting for 1 pod")


def test_an_error_reported_twice_is_kept_once() -> None:
    update = Update()
    for _ in range(2):
        fold(update, diagnostic("the run failed: no space", "error"))
    assert update.errors == ["the run failed: no space"]
    assert not update.unchanged


def test_a_resource_is_named_from_its_start_to_its_end() -> None:
    update = Update()
    assert fold(update, step("resourcePreEvent", "create", "digits")).detail == "create digits"
    assert fold(update, step("resOutputsEvent", "create", "digits")).detail == ""


def test_an_unchanged_resource_is_not_mentioned() -> None:
    assert fold(Update(), step("resourcePreEvent", "same", "digits")).detail == ""


def test_only_same_means_unchanged() -> None:
    idle, busy = Update(), Update()
    fold(idle, event(summaryEvent={"resourceChanges": {"same": 14}}))
    fold(busy, event(summaryEvent={"resourceChanges": {"same": 14, "create": 2, "replace": 1}}))
    assert idle.unchanged
    assert idle.summary() == "nothing changed"
    assert not busy.unchanged
    assert busy.summary() == "2 created, 1 replaced"


def violation(level: str) -> str:
    return event(
        policyEvent={
            "resourceUrn": "urn:pulumi:train-local::manta::kubernetes:ray.io/v1:RayJob::job",
            "message": "Why the rule is there.\nthe head offers 2 CPUs to tasks: set num-cpus\n",
            "policyName": "ray-head-idle",
            "enforcementLevel": level,
        }
    )


def test_an_advisory_policy_is_a_warning_and_a_mandatory_one_the_reason_of_the_failure() -> None:
    line = "policy ray-head-idle (job): the head offers 2 CPUs to tasks: set num-cpus"
    update = Update()
    assert fold(update, violation("advisory")).line == f"warning: {line}"
    assert update.errors == []
    assert fold(update, violation("mandatory")) == Shown()
    assert update.errors == [line]


@pytest.mark.parametrize(
    ("message", "severity"),
    [("registering resource: name=digits", "debug"), ("using pulumi-resource-kubernetes from $PATH at x", "warning")],
)
def test_the_engines_noise_is_not_shown(message: str, severity: str) -> None:
    assert fold(Update(), diagnostic(message, severity)) == Shown()
