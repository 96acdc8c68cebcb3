"""The AWS Load Balancer Controller: what it may do, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.aws import ingress, ingress_policy
from infra.aws.access import keda_statements
from infra.aws.naming import Place
from infra.aws.policies import document
from infra.settings.aws_ingress import IngressSettings
from infra.settings.aws_network import NetworkSettings
from local.engine.aws.schema import policy_fault

PLACE = Place("dev", "111122223333", "us-east-1", "ml-platform")
ZONES = ["us-east-1a", "us-east-1b"]
STATEMENTS = ingress_policy.statements(PLACE)
CHANGES = [each for each in STATEMENTS if each["Sid"] != "Look"]
NETWORK = NetworkSettings.model_validate({"zones": ZONES, "podCidr": "100.64.0.0/16"})


def settings(**changes: Any) -> IngressSettings:
    return IngressSettings.model_validate(changes)


def values(**changes: Any) -> dict[str, Any]:
    args = ingress.IngressArgs(PLACE, settings(**changes), NETWORK, None, None, "ray")  # type: ignore[arg-type]
    return ingress.chart_values(args, "vpc-0123456789abcdef0")


def test_aws_would_take_the_policy() -> None:
    assert policy_fault(document(*STATEMENTS)) is None
    # What IAM allows all inline policies of a role together.
    assert len(document(*STATEMENTS).replace(" ", "")) < 10_240


def test_no_statement_and_no_action_is_said_twice() -> None:
    names = [each["Sid"] for each in STATEMENTS]
    assert len(set(names)) == len(names)
    for each in STATEMENTS:
        assert len(set(each["Action"])) == len(each["Action"]), each["Sid"]


@pytest.mark.parametrize("statement", CHANGES, ids=lambda each: each["Sid"])
def test_every_change_is_bound_to_this_cluster_or_to_one_service(statement: dict[str, Any]) -> None:
    assert "*" not in statement["Resource"]
    assert all(":111122223333:" in resource for resource in statement["Resource"])
    bound = json.dumps(statement["Condition"])
    assert any(word in bound for word in ("manta-dev", '"aws:ResourceTag/manta:environment": "dev"', "AWSServiceName"))


def test_looking_is_all_that_it_may_do_everywhere() -> None:
    (look,) = [each for each in STATEMENTS if each["Sid"] == "Look"]
    for action in look["Action"]:
        assert action.partition(":")[2].startswith(("Describe", "Get")), action


def test_it_may_end_what_it_may_make() -> None:
    actions = {action for each in CHANGES for action in each["Action"]}
    for kind in ("LoadBalancer", "TargetGroup", "Listener", "Rule"):
        assert {f"elasticloadbalancing:Create{kind}", f"elasticloadbalancing:Delete{kind}"} <= actions
    assert {"ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup"} <= actions


def test_it_may_not_touch_firewalls_certificates_or_network_load_balancers() -> None:
    text = json.dumps(STATEMENTS)
    for word in ("waf", "shield", "acm:", "cognito", "/net/", "/gwy/"):
        assert word not in text, word


def test_load_balancers_are_internal_and_open_to_the_vpc_alone() -> None:
    spec = values()["ingressClassParams"]["spec"]
    assert spec["scheme"] == "internal"
    assert spec["inboundCIDRs"] == ["10.40.0.0/16", "100.64.0.0/16"]


def test_who_may_connect_is_what_the_settings_say() -> None:
    spec = values(scheme="internet-facing", allowFrom=["203.0.113.0/24"])["ingressClassParams"]["spec"]
    assert (spec["scheme"], spec["inboundCIDRs"]) == ("internet-facing", ["203.0.113.0/24"])


def test_only_the_ray_namespace_gets_any() -> None:
    told = values()
    assert told["watchNamespace"] == "ray"
    spec = told["ingressClassParams"]["spec"]
    assert spec["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "ray"}}
    assert told["disableIngressClassAnnotation"] is True, "the class is the only way to one"
    assert told["ingressClass"] == told["ingressClassParams"]["name"] == ingress.CLASS


def test_what_it_makes_carries_the_tags_that_the_audit_goes_by() -> None:
    assert values()["defaultTags"] == dict(PLACE.tags)


def test_it_runs_where_karpenter_ends_no_node() -> None:
    assert values()["nodeSelector"] == {"manta/nodes": "system"}
    assert values()["replicaCount"] == 2


def test_what_its_role_may_not_is_switched_off() -> None:
    told = values()
    assert (told["enableShield"], told["enableWaf"], told["enableWafv2"]) == (False, False, False)


def test_the_chart_is_the_one_of_the_pinned_controller() -> None:
    assert ingress.chart_version() == "1.13.4"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scheme": "internet-facing"}, "needs allowFrom"),
        ({"scheme": "internet-facing", "allowFrom": ["0.0.0.0/0"]}, "0.0.0.0/0 is everybody"),
        ({"allowFrom": ["everybody"]}, "everybody is no IPv4 network"),
        ({"allowFrom": ["203.0.113.7/24"]}, "no IPv4 network"),
        ({"scheme": "public"}, "scheme"),
        ({"replicas": 0}, "replicas"),
    ],
)
def test_an_open_door_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changes)


def test_keda_reads_the_length_of_named_queues_and_nothing_else() -> None:
    queue = "arn:aws:sqs:us-east-1:111122223333:experiments"
    (statement,) = keda_statements([queue])
    assert statement["Action"] == ["sqs:GetQueueAttributes"]
    assert statement["Resource"] == [queue]
    assert policy_fault(document(statement)) is None
