"""The few questions that waiting asks the API server, and nothing else of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, cast

from infra.errors import WaitError

Answer = TypeVar("Answer")
# An API server that restarts, or a laptop that wakes up, is back within this; the work goes on meanwhile.
PATIENCE_S = 180.0
_PAUSE_S = 2.0
_REQUEST_TIMEOUT_S = (5.0, 20.0)


class ClusterApi(Protocol):
    """What waiting needs to know. None, an empty list or an empty text stand for what is not there."""

    def resource(self, plural: str, name: str) -> Mapping[str, Any] | None: ...
    def pods(self, selector: str) -> list[Mapping[str, Any]]: ...
    def log(self, pod: str, since_seconds: int | None) -> str: ...
    def annotate(self, plural: str, name: str, annotations: Mapping[str, str]) -> None: ...
    def answers(self, service: str, port: int, path: str) -> bool: ...


class KubernetesApi:
    """ClusterApi by the Kubernetes client, in one namespace, through `kubeconfig` (content; empty: KUBECONFIG)."""

    def __init__(self, namespace: str, kubeconfig: str = "") -> None:
        # Imported here: a second of work that a preview and a stack that does not wait never need.
        from kubernetes import client, config

        self._namespace = namespace
        api = (
            config.new_client_from_config_dict(json.loads(kubeconfig))
            if kubeconfig
            else config.new_client_from_config()
        )
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._api = api

    def resource(self, plural: str, name: str) -> Mapping[str, Any] | None:
        found = _if_found(
            lambda: self._custom.get_namespaced_custom_object(
                "ray.io", "v1", self._namespace, plural, name, _request_timeout=_REQUEST_TIMEOUT_S
            )
        )
        return cast(Mapping[str, Any] | None, found)

    def pods(self, selector: str) -> list[Mapping[str, Any]]:
        listed = self._core.list_namespaced_pod(
            self._namespace, label_selector=selector, _request_timeout=_REQUEST_TIMEOUT_S
        )
        return [cast(Mapping[str, Any], self._api.sanitize_for_serialization(pod)) for pod in listed.items]

    def log(self, pod: str, since_seconds: int | None) -> str:
        def read() -> str:
            # Raw bytes: the client would show them as a Python literal.
            response: Any = self._core.read_namespaced_pod_log(
                pod, self._namespace, timestamps=True, since_seconds=since_seconds, _preload_content=False,
                _request_timeout=_REQUEST_TIMEOUT_S,
            )  # fmt: skip
            return response.data.decode(errors="replace")

        return _if_found(read, starting="") or ""

    def annotate(self, plural: str, name: str, annotations: Mapping[str, str]) -> None:
        body = {"metadata": {"annotations": dict(annotations)}}
        self._custom.patch_namespaced_custom_object(
            "ray.io", "v1", self._namespace, plural, name, body, _request_timeout=_REQUEST_TIMEOUT_S
        )

    def answers(self, service: str, port: int, path: str) -> bool:
        from kubernetes.client.exceptions import ApiException

        try:
            self._core.connect_get_namespaced_service_proxy_with_path(
                f"{service}:{port}", self._namespace, path.lstrip("/"), _request_timeout=_REQUEST_TIMEOUT_S
            )
        except ApiException:
            return False
        return True


def patiently(ask: Callable[[], Answer], what: str) -> Answer:
    """`ask()`, again for PATIENCE_S seconds while the API server does not answer; then WaitError."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except (HTTPError, OSError, ApiException) as error:
            if isinstance(error, ApiException) and error.status not in (0, 429, 500, 502, 503, 504):
                raise WaitError(f"{what}: the API server refuses ({error.status} {error.reason})") from None
            if time.monotonic() > deadline:
                raise WaitError(
                    f"{what}: the API server has not answered for {PATIENCE_S:.0f} s; the work goes on in the cluster, "
                    "and the same `pulumi up` picks it up again"
                ) from None
            time.sleep(_PAUSE_S)


def _if_found(ask: Callable[[], Any], starting: Any = None) -> Any:
    """None for what does not exist; `starting` for a container that has no log yet."""
    from kubernetes.client.exceptions import ApiException

    try:
        return ask()
    except ApiException as error:
        if error.status == 404:
            return None
        if error.status == 400 and starting is not None:
            return starting
        raise
