"""Tell the stacks which images this environment has: a ConfigMap in the cluster, read by the platform stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3.exceptions import HTTPError

from local.errors import MantaError

NAMESPACE, NAME = "kube-public", "manta-images"


# What the platform stack looks up; see infra/layers/platform.py.
WANTED = ("ray", "ray-operator", "versitygw")


def demand(kubeconfig: str) -> None:
    """Refuse a cluster that is not ours and records no images, with MantaError; `kubeconfig` as KUBECONFIG says it."""
    where = f"ConfigMap {NAMESPACE}/{NAME} of the cluster of KUBECONFIG={kubeconfig}"
    try:
        api: Any = client.CoreV1Api(config.new_client_from_config(kubeconfig))  # pyright: ignore[reportUnknownMemberType]
        recorded: Mapping[str, str] = api.read_namespaced_config_map(NAME, NAMESPACE, _request_timeout=20).data or {}
    except client.ApiException as error:
        if error.status != 404:
            raise MantaError(f"{where} cannot be read: {error.status} {error.reason}") from None
        recorded = {}
    except (HTTPError, config.ConfigException) as error:
        raise MantaError(f"the cluster of KUBECONFIG={kubeconfig} cannot be reached: mend it or unset it") from error
    if missing := [name for name in WANTED if name not in recorded]:
        raise MantaError(
            f"{where} does not name {', '.join(missing)}: push these images to a registry that its nodes can pull from "
            "and write their references, by digest, there (docs/local.md), or unset KUBECONFIG to use Manta's own"
        )


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
