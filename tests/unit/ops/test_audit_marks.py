"""By what a resource is known to belong to an environment."""

from __future__ import annotations

import pytest

from ops.audit.marks import Marks

MARKS = Marks("dev")


@pytest.mark.parametrize(
    "name",
    ["manta-dev", "manta-dev-karpenter", "manta-dev_1234", "/aws/eks/manta-dev/cluster", "manta-123456789012-dev-data"],
)
def test_names_of_the_environment(name: str) -> None:
    assert MARKS.of_name(name)


@pytest.mark.parametrize(
    "name", ["manta-dev2", "manta-prod", "my-manta-dev", "manta-device-x", "manta-1-dev", "dev", ""]
)
def test_names_of_others(name: str) -> None:
    assert MARKS.of_name(name) is None


@pytest.mark.parametrize(
    ("tags", "ours"),
    [
        ({"manta:environment": "dev"}, True),
        ({"eks:eks-cluster-name": "manta-dev"}, True),
        ({"kubernetes.io/cluster/manta-dev": "owned"}, True),
        ({"karpenter.sh/discovery": "manta-dev"}, True),
        ({"manta:environment": "prod"}, False),
        ({"kubernetes.io/cluster/manta-dev2": "owned"}, False),
        ({"Name": "manta-dev"}, False),
        ({}, False),
    ],
)
def test_tags(tags: dict[str, str], ours: bool) -> None:
    assert (MARKS.of_tags(tags) is not None) is ours
