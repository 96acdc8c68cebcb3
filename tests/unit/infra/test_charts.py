"""A chart comes from where the settings say, and on a machine that reaches no repository from a folder."""

from __future__ import annotations

from typing import Any

import pytest

from infra.kubernetes import charts, keda
from infra.settings import PlatformSettings
from tests.contract.manifests import platform_settings


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("https://kedacore.github.io/charts", {
            "chart": "keda", "version": "2.17.2", "repository_opts": {"repo": "https://kedacore.github.io/charts"}}),
        ("oci://public.ecr.aws/karpenter/", {"chart": "oci://public.ecr.aws/karpenter/keda", "version": "2.17.2"}),
        ("/charts", {"chart": "/charts/keda"}),
    ],
)  # fmt: skip
def test_a_folder_has_the_version_that_it_has(where: str, found: dict[str, Any]) -> None:
    assert charts.source(where, "keda", "2.17.2") == found


def test_the_machine_knows_better_than_the_settings() -> None:
    assert charts.place("https://example.com", {}) == "https://example.com"
    assert charts.place("https://example.com", {charts.VARIABLE: "/charts"}) == "/charts"


def test_keda_scales_in_one_namespace_and_reads_no_secret_of_it() -> None:
    values = keda.chart_values("ray", {})
    assert values["watchNamespace"] == "ray"
    for part in ("operator", "metricServer"):
        assert values["permissions"][part]["restrict"]["secret"] is True
    assert values["rbac"]["enabledCustomScaledRefKinds"] is False


def test_keda_is_there_by_setting_alone() -> None:
    assert platform_settings().keda is None
    given = {**platform_settings().model_dump(by_alias=True), "keda": {}}
    assert PlatformSettings.model_validate(given).keda is not None
