"""Tell the stacks which images this environment has: a ConfigMap in the cluster, read by the platform stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config

from local.errors import MantaError

NAMESPACE, NAME = "kube-public", "manta-images"


def record(kubeconfig: Path, references: Mapping[str, str]) -> None:
    """Write `references` (`ray` -> `localhost/manta/ray@sha256:...`) into the ConfigMap, made if it is missing."""
    api: Any = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))  # pyright: ignore[reportUnknownMemberType]
    body = {"metadata": {"name": NAME, "namespace": NAMESPACE}, "data": dict(references)}
    try:
        try:
            api.replace_namespaced_config_map(NAME, NAMESPACE, body)
        except client.ApiException as error:
            if error.status != 404:
                raise
            api.create_namespaced_config_map(NAMESPACE, body)
    except client.ApiException as error:
        raise MantaError(
            f"the images' digests could not be written to ConfigMap {NAMESPACE}/{NAME} ({error.status} "
            f"{error.reason}): run `make status` to see how the cluster is"
        ) from None
