"""The policy pack as the engine runs it: started by our language host, in every preview, at the stack's level."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.engine.environment import CHECKOUT
from tests.graph.engine import Engine

PACK = {"PULUMI_OPTION_POLICY_PACK": str(CHECKOUT / "policies"), "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
BROKEN = {"environment": {"RAY_worker_register_timeout_seconds": "60"}}


def violations(output: str) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert any("policyLoadEvent" in event for event in events)
    return [event["policyEvent"] for event in events if "policyEvent" in event]


@pytest.mark.parametrize(
    "stack",
    [
        "platform-local",
        "train-local-fast",
        "serve-local",
        "workbench-local",
        "workbench-dev",
        "bootstrap-dev",
        "bootstrap-prod",
    ],
)
def test_every_stack_of_this_repository_breaks_no_rule(engine: Engine, standing: Engine, stack: str) -> None:
    judged = engine if stack.startswith(("platform", "bootstrap")) else standing
    result = judged.try_preview(stack, **PACK)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert violations(result.stdout) == []


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        # The official chart cannot be had by the simulated AWS, so that nothing there scrapes Ray.
        ("platform-sim", {("exempted", "advisory"), ("ray-metrics-scraped", "advisory")}),
        ("platform-dev", {("exempted", "advisory")}),
        ("platform-prod", {("exempted", "advisory")}),
    ],
)
def test_the_platforms_on_aws_break_no_rule_but_the_one_that_is_known(
    engine: Engine, stack: str, said: set[tuple[str, str]]
) -> None:
    result = engine.try_preview(stack, **PACK)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    # What `up` alone knows (an operator's image that the cluster records) is judged then.
    judged = [each for each in violations(result.stdout) if "can't be known during preview" not in each["message"]]
    assert {(each["policyName"], each["enforcementLevel"]) for each in judged} == said


@pytest.mark.parametrize(("variables", "level"), [({}, "advisory"), ({"MANTA_POLICY_LEVEL": "mandatory"}, "mandatory")])
def test_a_broken_rule_fails_the_preview_where_rules_are_mandatory(
    standing: Engine, variables: dict[str, str], level: str
) -> None:
    result = standing.try_preview("serve-local", BROKEN, **PACK, **variables)
    found = violations(result.stdout)
    assert {(each["policyName"], each["enforcementLevel"]) for each in found} == {("ray-register-timeout", level)}
    assert (result.returncode != 0) == (level == "mandatory")
