"""A stack of the catalogue, up for the length of a test and then gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from kubernetes import client, config

from local.cluster.publish import Publication
from local.up.forward import forwarded
from tests.cluster.main_job.conftest import Stacks, core, deployed

__all__ = ["Service", "core", "deployed", "service", "trained"]

NAMESPACE = "ray"
Service = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def trained(deployed: Stacks) -> Iterator[Callable[[str], dict[str, Any]]]:
    """Bring a training stack up, once however often it is asked for, and give its result; all go at the end."""
    outputs: dict[str, dict[str, Any]] = {}

    def result(stack: str) -> dict[str, Any]:
        if stack not in outputs:
            outputs[stack] = {}
            deployed.up(stack)
            outputs[stack] = deployed.outputs(stack)
        return outputs[stack]["result"]

    yield result
    for stack in outputs:
        deployed.destroy(stack)
        deployed.remove(stack)
    assert not left("rayjobs") & {each["run"] for each in outputs.values() if each}


@pytest.fixture
def service(deployed: Stacks) -> Service:
    """Bring a serving stack up and give the URL at which it answers here, until the block ends."""

    @contextmanager
    def standing(stack: str) -> Generator[str]:
        try:
            deployed.up(stack)
            name = deployed.outputs(stack)["service"]
            publication = Publication(name, free_port(), NAMESPACE, f"{name}-serve-svc", 8000)
            with forwarded(publication, os.environ):
                yield f"http://127.0.0.1:{publication.local_port}"
        finally:
            deployed.destroy(stack)
            deployed.remove(stack)
        assert name not in left("rayservices")

    return standing


def left(plural: str) -> set[str]:
    """Names of Ray's objects of one kind that the cluster of KUBECONFIG holds."""
    objects = client.CustomObjectsApi(config.new_client_from_config(os.environ["KUBECONFIG"]))
    items: Any = objects.list_namespaced_custom_object("ray.io", "v1", NAMESPACE, plural)
    return {item["metadata"]["name"] for item in items["items"]}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
