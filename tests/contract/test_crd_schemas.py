"""Every Ray manifest of ours is one that the pinned CRDs accept, without a field that they do not know."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from infra.ray import rules
from tests.contract.manifests import (
    BENCH_SHAPES,
    SERVE_SHAPES,
    TRAIN_SHAPES,
    demand_manifests,
    monitoring_manifests,
    ray_cluster,
    ray_job,
    ray_service,
)
from tests.contract.schemas import crds, violations

SHAPES = [
    *((ray_job, shape) for shape in TRAIN_SHAPES),
    *((ray_service, shape) for shape in SERVE_SHAPES),
    *((ray_cluster, shape) for shape in BENCH_SHAPES),
]


@pytest.mark.parametrize(("build", "shape"), SHAPES, ids=lambda value: getattr(value, "__name__", value))
def test_the_pinned_crd_accepts_every_field(build: Any, shape: str) -> None:
    assert violations(build(shape)) == []


@pytest.mark.parametrize(("build", "shape"), SHAPES, ids=lambda value: getattr(value, "__name__", value))
def test_kuberay_would_accept_it_after_its_submission(build: Any, shape: str) -> None:
    assert rules.problems(build(shape)) == []


KEDA = [manifest for manifest in demand_manifests() if manifest["apiVersion"].startswith("keda.sh/")]


@pytest.mark.parametrize("manifest", KEDA, ids=lambda manifest: manifest["kind"])
def test_the_pinned_keda_accepts_every_field(manifest: dict[str, Any]) -> None:
    assert violations(manifest) == []


@pytest.mark.parametrize(
    "manifest", monitoring_manifests(), ids=lambda found: f"{found['kind']} {found['metadata']['name']}"
)
def test_the_pinned_prometheus_operator_accepts_every_field(manifest: dict[str, Any]) -> None:
    if manifest["apiVersion"].startswith("monitoring.coreos.com/"):
        assert violations(manifest) == []


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob", "RayService"])
def test_kuberay_offers_nothing_that_keda_could_scale(kind: str) -> None:
    (definition,) = [each for each in crds("ray.io").values() if each["spec"]["names"]["kind"] == kind]
    for version in definition["spec"]["versions"]:
        assert "scale" not in version.get("subresources", {}), "it could be scaled without infra.ray.demand"


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("spec", "activeDeadlineSecond"), 5, "activeDeadlineSecond"),
        (("spec", "rayClusterSpec", "networkPolicy"), {}, "networkPolicy"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0, "is not of type 'string'"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "tokens", "is not one of"),
        (("spec", "submitterPodTemplate", "spec", "containers"), None, "containers"),
    ],
)
def test_the_check_finds_what_the_api_server_would_drop_or_refuse(
    path: tuple[str, ...], value: Any, complaint: str
) -> None:
    manifest = copy.deepcopy(ray_job("as in the repository"))
    at = manifest
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    assert any(complaint in violation for violation in violations(manifest))
