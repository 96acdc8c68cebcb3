"""What a payload reads from its environment."""

from __future__ import annotations

import pytest

from payloads.common.errors import PayloadError
from payloads.common.settings import read_platform

GOOD = {"MANTA_STORAGE": "s3://manta/prefix", "MLFLOW_TRACKING_URI": "http://mlflow.manta-system:5000"}


def test_an_empty_variable_counts_as_unset():
    platform = read_platform({**GOOD, "AWS_ENDPOINT_URL": "", "MANTA_IMAGE": ""})
    assert platform.s3_endpoint is None
    assert platform.image == "unknown"


@pytest.mark.parametrize(
    ("changed", "variable"),
    [
        ({"MANTA_STORAGE": "/tmp/here"}, "MANTA_STORAGE"),
        ({"MLFLOW_TRACKING_URI": "mlruns"}, "MLFLOW_TRACKING_URI"),
        ({"MANTA_PATIENCE_S": "soon"}, "MANTA_PATIENCE_S"),
        ({"MANTA_PATIENCE_S": "-1"}, "MANTA_PATIENCE_S"),
    ],
)
def test_a_malformed_variable_is_named_and_its_value_is_not_shown(changed: dict[str, str], variable: str):
    with pytest.raises(PayloadError) as refused:
        read_platform({**GOOD, **changed})
    assert variable in str(refused.value)
    assert next(iter(changed.values())) not in str(refused.value), "an URI may carry credentials"
