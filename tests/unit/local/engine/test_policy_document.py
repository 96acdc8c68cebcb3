"""What the stand-in AWS says of a policy document's shape, against what IAM's grammar allows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.engine.aws.schema import policy_fault

BUCKET = "arn:aws:s3:::state"


def fault(**parts: Any) -> str | None:
    statement = {"Effect": "Deny", "Action": "s3:*", **parts}
    return policy_fault(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.mark.parametrize(
    "parts",
    [
        {"Resource": BUCKET},
        {"Resource": [BUCKET, f"{BUCKET}/*"]},
        {"NotResource": BUCKET},
        {"NotResource": [f"{BUCKET}/*"]},
        {"Principal": "*", "Resource": BUCKET},
        {"NotPrincipal": {"AWS": "arn:aws:iam::123456789012:root"}, "Resource": BUCKET},
    ],
)
def test_what_iam_takes_is_taken(parts: dict[str, Any]) -> None:
    assert fault(**parts) is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "neither Resource nor Principal"),
        ({"NotResource": "state/*"}, "state/* is no ARN"),
        ({"Resource": "*", "NotResource": BUCKET}, "both Resource and NotResource"),
        ({"Resource": "*", "NotAction": "s3:*"}, "both Action and NotAction"),
        ({"Ressource": "*"}, "a statement has Ressource"),
    ],
)
def test_what_iam_refuses_is_refused(parts: dict[str, Any], words: str) -> None:
    assert words in (fault(**parts) or "")
