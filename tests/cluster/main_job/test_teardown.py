"""The platform is kept while runs stand on it, and destroying all of it leaves nothing in the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes import client, config

from local.errors import MantaError
from tests.cluster.main_job.conftest import Stacks
from tests.conftest import make

OURS = ("ray", "manta-system")


def test_a_platform_with_runs_is_not_destroyed_and_says_which(deployed: Stacks) -> None:
    run = deployed.outputs("train-local")["run"]
    with pytest.raises(MantaError) as refused:
        deployed.destroy("platform-local")
    assert run in (refused.value.detail or "")
    assert deployed.up("platform-local").unchanged, "a refused destroy must not have deleted anything"


def test_destroying_the_stacks_leaves_nothing(deployed: Stacks, kubeconfig: Path) -> None:
    for name in ("serve-local", "train-local", "platform-local"):
        deployed.destroy(name)
    api = config.new_client_from_config(str(kubeconfig))
    core, definitions = client.CoreV1Api(api), client.ApiextensionsV1Api(api)
    rules, storage = client.RbacAuthorizationV1Api(api), client.StorageV1Api(api)
    assert not [item.metadata.name for item in core.list_namespace().items if item.metadata.name in OURS]
    assert not [item.metadata.name for item in core.list_persistent_volume().items]
    assert not [item.metadata.name for item in definitions.list_custom_resource_definition().items]
    assert not [item.metadata.name for item in rules.list_cluster_role().items if "kuberay" in item.metadata.name]
    assert not [item.metadata.name for item in rules.list_cluster_role_binding().items if "ray" in item.metadata.name]
    assert not [item.metadata.name for item in storage.list_storage_class().items]


def test_and_everything_comes_up_again(deployed: Stacks) -> None:
    assert "curl -s" in make("up").stdout
