"""The token that the Ray dashboard asks for."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from kubernetes import client, config

from local.errors import MantaError

_NAMESPACE, _SECRET, _KEY = "ray", "ray-auth", "auth_token"


def read(kubeconfig: Path) -> str:
    """The token in the cluster's Secret; raises MantaError when the platform stack is not up."""
    api: Any = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))  # pyright: ignore[reportUnknownMemberType]
    try:
        return base64.b64decode(api.read_namespaced_secret(_SECRET, _NAMESPACE).data[_KEY]).decode()
    except client.ApiException as error:
        raise MantaError(
            f"Secret {_NAMESPACE}/{_SECRET} cannot be read ({error.status} {error.reason}): bring the platform up with "
            "`make up`"
        ) from None
