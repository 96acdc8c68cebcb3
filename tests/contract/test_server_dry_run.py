"""The real API server takes every manifest of ours: its own schemas, defaults, CEL rules and admission included."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from kubernetes import config, dynamic
from kubernetes.client.exceptions import ApiException

from tests.contract.manifests import (
    BENCH_SHAPES,
    SERVE_SHAPES,
    TRAIN_SHAPES,
    demand_manifests,
    platform_manifests,
    ray_cluster,
    ray_ingress,
    ray_job,
    ray_service,
    run_manifests,
)

pytestmark = pytest.mark.cluster
# KEDA's own kinds are unknown to a cluster without KEDA: their definitions are asked in test_crd_schemas.
PLAIN = [manifest for manifest in demand_manifests() if not manifest["apiVersion"].startswith("keda.sh/")]
MANIFESTS = [
    *(pytest.param(ray_job(shape), id=f"RayJob {shape}") for shape in TRAIN_SHAPES),
    *(pytest.param(ray_service(shape), id=f"RayService {shape}") for shape in SERVE_SHAPES),
    *(pytest.param(ray_cluster(shape), id=f"RayCluster {shape}") for shape in BENCH_SHAPES),
    *(
        pytest.param(manifest, id=f"{manifest['kind']} {manifest['metadata']['name']}-{number}")
        for number, manifest in enumerate([*run_manifests(), *platform_manifests(), *PLAIN, ray_ingress()])
    ),
]


@pytest.fixture(scope="module")
def server(kubeconfig: Path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(config.new_client_from_config(str(kubeconfig)))


def dry_run(server: dynamic.DynamicClient, manifest: dict[str, Any]) -> None:
    """Server-side apply of `manifest` under a name of its own, so that what exists has no say; nothing is stored."""
    body = copy.deepcopy(manifest)
    if body["kind"] != "Namespace":
        body["metadata"]["name"] = f"dry-{body['metadata']['name']}"
    resource = server.resources.get(api_version=body["apiVersion"], kind=body["kind"])
    resource.server_side_apply(
        body=body,
        name=body["metadata"]["name"],
        namespace=body["metadata"].get("namespace"),
        field_manager="contract-test",
        force_conflicts=True,
        dry_run="All",
    )


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_the_api_server_accepts_it(server: dynamic.DynamicClient, manifest: dict[str, Any]) -> None:
    dry_run(server, manifest)


def test_the_api_server_refuses_what_it_does_not_know(server: dynamic.DynamicClient) -> None:
    manifest = copy.deepcopy(ray_job("as in the repository"))
    manifest["spec"]["activeDeadlineSecond"] = 5
    with pytest.raises(ApiException, match="activeDeadlineSecond"):
        dry_run(server, manifest)
