"""The roles of the workflows: who may take them, and what they may do."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.aws.cluster import ADMIN_POLICY, VIEW_POLICY
from infra.aws.naming import Place
from infra.aws.pipeline import Duty, duties, federated_trust, role_name, subject

PROJECT = Path(__file__).resolve().parents[4]
PLACE = Place("prod", "444455556666", "us-east-1", "ml")
KEY = "arn:aws:kms:us-east-1:444455556666:key/0"
DUTIES = {duty.name: duty for duty in duties(PLACE, "state", KEY)}


def allowed(duty: Duty, action: str) -> list[str]:
    """Resources on which the inline policy allows `action`."""
    return [
        resource
        for statement in duty.statements
        if statement["Effect"] == "Allow" and any(fnmatchcase(action, given) for given in statement["Action"])
        for resource in statement["Resource"]
    ]


@pytest.mark.parametrize(
    ("duty", "expected"),
    [
        ("preview", "repo:o/n:environment:preview-prod"),
        ("drift", "repo:o/n:environment:drift-prod"),
        ("image", "repo:o/n:environment:image-prod"),
        ("deploy", "repo:o/n:environment:prod"),
    ],
)
def test_a_role_is_taken_from_one_environment_of_one_repository(duty: str, expected: str) -> None:
    assert subject("o/n", duty, "prod") == expected
    (statement,) = json.loads(federated_trust("arn:aws:iam::1:oidc-provider/x", expected))["Statement"]
    condition: dict[str, Any] = statement["Condition"]["StringEquals"]
    assert sorted(condition.values()) == [expected, "sts.amazonaws.com"]


@pytest.mark.parametrize("duty", ["preview", "drift"])
@pytest.mark.parametrize("action", ["s3:PutObject", "s3:DeleteObject", "kms:Encrypt", "iam:CreateRole", "iam:PassRole"])
def test_what_only_looks_can_write_nothing(duty: str, action: str) -> None:
    assert DUTIES[duty].managed == "ReadOnlyAccess"
    assert allowed(DUTIES[duty], action) == []


def test_a_preview_sees_no_data_and_no_secret_but_the_state() -> None:
    (denied,) = [each for each in DUTIES["preview"].statements if each["Effect"] == "Deny"]
    assert {"s3:GetObject", "secretsmanager:GetSecretValue"} <= set(denied["Action"])
    assert denied["NotResource"] == ["arn:aws:s3:::state/*"]
    assert allowed(DUTIES["preview"], "kms:Decrypt") == [KEY]


def test_what_pushes_images_can_delete_none_and_touch_nothing_else() -> None:
    duty = DUTIES["image"]
    assert duty.managed is None
    assert allowed(duty, "ecr:PutImage") == ["arn:aws:ecr:us-east-1:444455556666:repository/manta-prod/ray"]
    assert allowed(duty, "ecr:BatchDeleteImage") == []
    assert {action.partition(":")[0] for each in duty.statements for action in each["Action"]} == {"ecr"}


def test_a_deployment_changes_the_platforms_roles_and_not_its_own() -> None:
    (roles,) = allowed(DUTIES["deploy"], "iam:CreateRole")
    assert fnmatchcase("arn:aws:iam::444455556666:role/manta-prod-karpenter", roles)
    for duty in DUTIES:
        assert not fnmatchcase(f"arn:aws:iam::444455556666:role/{role_name(PLACE, duty)}", roles)


def test_a_deployment_attaches_only_what_a_platform_attaches() -> None:
    (statement,) = [each for each in DUTIES["deploy"].statements if "iam:AttachRolePolicy" in each["Action"]]
    policies = statement["Condition"]["ArnEquals"]["iam:PolicyARN"]
    assert not any(name.endswith(("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")) for name in policies)
    source = "".join(path.read_text() for path in (PROJECT / "infra" / "aws").glob("*.py") if path.stem != "pipeline")
    # Access policies of EKS are no policies of IAM.
    used = set(re.findall(r'"((?:service-role/)?Amazon\w+)"', source)) - {ADMIN_POLICY, VIEW_POLICY}
    assert {name.partition(":policy/")[2] for name in policies} == used


def test_no_policy_is_longer_than_iam_takes() -> None:
    for duty in DUTIES.values():
        assert len(json.dumps({"Version": "2012-10-17", "Statement": duty.statements}, separators=(",", ":"))) < 10_240
