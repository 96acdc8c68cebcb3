"""IAM policy evaluation, against what AWS documents."""

from __future__ import annotations

from typing import Any

import pytest

from local.sim.cloud.policies import Demand, evaluate

INSTANCE = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"


def statement(**parts: Any) -> list[dict[str, Any]]:
    return [{"Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*", **parts}]}]


def allowed(policies: list[dict[str, Any]], action: str = "ec2:RunInstances", **context: str) -> bool:
    keys = {key.replace("__", ":").replace("_SLASH_", "/"): (value,) for key, value in context.items()}
    return evaluate(policies, Demand(action, INSTANCE, keys)).allowed


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], False),
        (statement(), True),
        (statement(Action=["s3:*", "EC2:runinstances"]), True),
        (statement(Action="ec2:Run?nstances"), True),
        (statement(Action="ec2:Describe*"), False),
        (statement(NotAction="ec2:RunInstances"), False),
        (statement(Resource="arn:aws:ec2:us-east-1:123456789012:instance/*"), True),
        (statement(Resource="arn:aws:ec2:us-east-1:123456789012:volume/*"), False),
        (statement() + statement(Effect="Deny", Action="ec2:RunInstances"), False),
        (statement() + statement(Effect="Deny", Resource="arn:aws:ec2:*:*:volume/*"), True),
    ],
)
def test_a_matching_deny_refuses_else_a_matching_allow_permits(policies: list[dict[str, Any]], expected: bool) -> None:
    assert allowed(policies) is expected


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "expected"),
    [
        ("StringEquals", "owned", "owned", True),
        ("StringEquals", ["x", "owned"], "owned", True),
        ("StringEquals", "Owned", "owned", False),
        ("StringEquals", "owned", None, False),
        ("StringEqualsIfExists", "owned", None, True),
        ("StringEqualsIfExists", "owned", "shared", False),
        ("StringNotEquals", "owned", "shared", True),
        ("StringNotEquals", "owned", "owned", False),
        ("StringLike", "o*d", "owned", True),
        ("StringLike", "*", None, False),
        ("Null", "true", None, True),
        ("Null", "false", None, False),
        ("Bool", "true", "TRUE", True),
        ("ForAllValues:StringEquals", ["owned"], None, True),
        ("ForAllValues:StringEquals", ["owned"], "shared", False),
        ("ForAnyValue:StringEquals", ["owned"], None, False),
    ],
)
def test_conditions(operator: str, wanted: str | list[str], value: str | None, expected: bool) -> None:
    policies = statement(Condition={operator: {"aws:ResourceTag/Kubernetes": wanted}})
    context = {} if value is None else {"aws:resourcetag/kubernetes": (value,)}
    assert evaluate(policies, Demand("ec2:RunInstances", INSTANCE, context)).allowed is expected


def test_all_conditions_of_a_statement_must_hold() -> None:
    both = {"StringEquals": {"a": "1", "b": "2"}, "StringLike": {"c": "*"}}
    policies = statement(Condition=both)
    assert allowed(policies, a="1", b="2", c="x")
    assert not allowed(policies, a="1", b="2")
    assert not allowed(policies, a="1", b="3", c="x")


def test_a_policy_variable_stands_for_the_callers_value_and_matches_nothing_without_one() -> None:
    policies = statement(Resource="arn:aws:ec2:us-east-1:123456789012:instance/${aws:PrincipalTag/name}")
    assert evaluate(policies, Demand("ec2:RunInstances", INSTANCE, {"aws:principaltag/name": ("i-1",)})).allowed
    assert not allowed(policies)


def test_an_operator_that_is_not_known_is_an_error_and_no_permission() -> None:
    with pytest.raises(ValueError, match="IpAddress"):
        allowed(statement(Condition={"IpAddress": {"a": "10.0.0.0/8"}}), a="10.0.0.1")
