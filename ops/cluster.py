"""What ops asks the API server that KUBECONFIG names: lists, single objects and logs, as plain JSON."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode

from local.errors import MantaError

Thing = Mapping[str, Any]
# Where a platform has runs and endpoints unless its settings say otherwise.
RAY_NAMESPACE = "ray"
_TIMEOUT_S = (3.0, 8.0)
_KINDS = {
    "pods": "/api/v1",
    "events": "/api/v1",
    "persistentvolumeclaims": "/api/v1",
    "resourcequotas": "/api/v1",
    "services": "/api/v1",
    "nodes": "/api/v1",
    "jobs": "/apis/batch/v1",
    "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "rayjobs": "/apis/ray.io/v1",
    "rayservices": "/apis/ray.io/v1",
    "rayclusters": "/apis/ray.io/v1",
    "nodeclaims": "/apis/karpenter.sh/v1",
    "nodepools": "/apis/karpenter.sh/v1",
    "ec2nodeclasses": "/apis/karpenter.k8s.aws/v1",
}


class ForbiddenError(Exception):
    """The credentials may not read it."""


class Cluster:
    """Safe to be used by several threads at once."""

    def __init__(self, kubeconfig: str | None = None) -> None:
        # Half a second of imports that commands without a cluster never need.
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException

        settings: Any = client.Configuration()
        # One more try: a command that answers in seconds must not wait for minutes.
        settings.retries = 1
        try:
            # Read here: the client keeps what KUBECONFIG said when it was imported.
            config.load_kube_config(kubeconfig or os.environ.get("KUBECONFIG") or None, client_configuration=settings)
        except (ConfigException, OSError, TypeError, ValueError):
            raise MantaError(
                'there is no cluster to ask: set KUBECONFIG, locally by `eval "$(make -s env)"`, on AWS from the '
                "output `kubeconfig` of the platform stack"
            ) from None
        self._api: Any = client.ApiClient(settings)
        # A second try is no news to a person: the sentence comes when that fails too.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    @property
    def address(self) -> str:
        return str(self._api.configuration.host)

    def list(self, plural: str, namespace: str = "", selector: str = "") -> list[dict[str, Any]]:
        """All objects; none where the cluster does not know the kind. Raises ForbiddenError, MantaError."""
        place = f"/namespaces/{namespace}" if namespace else ""
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        answer = self._get(f"{_KINDS[plural]}{place}/{plural}{query}")
        if answer is None:
            return []
        listed = cast(Thing, json.loads(answer))
        # Lists leave out what all of their entries are.
        kind, version = str(listed["kind"]).removesuffix("List"), listed["apiVersion"]
        return [{"kind": kind, "apiVersion": version, **entry} for entry in listed.get("items") or ()]

    def get(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        place = f"/namespaces/{namespace}" if namespace else ""
        answer = self._get(f"{_KINDS[plural]}{place}/{plural}/{name}")
        return None if answer is None else json.loads(answer)

    def log(self, namespace: str, pod: str, container: str, *, previous: bool = False, lines: int = 200) -> str:
        """The last `lines` lines; empty where there is no log (any more)."""
        query = urlencode({"container": container, "previous": str(previous).lower(), "tailLines": lines})
        answer = self._get(f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{query}", missing=(400, 404, 500))
        return (answer or b"").decode(errors="replace")

    def through(self, service: str, namespace: str, port: int, path: str, body: Any = None) -> Any:
        """What a Service in the cluster answers to a GET, or to a POST of `body`, as JSON, by the API server."""
        place = f"/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy{path}"
        answer = self._get(place, method="GET" if body is None else "POST", body=body)
        return None if answer is None else json.loads(answer)

    def change(self, plural: str, namespace: str, name: str, patch: Thing) -> None:
        """Merge `patch` into an object."""
        place = f"{_KINDS[plural]}/namespaces/{namespace}/{plural}/{name}"
        try:
            answer = self._get(place, method="PATCH", body=dict(patch))
        except ForbiddenError:
            raise MantaError(f"you may not change {plural} in {namespace}: ask for the right") from None
        if answer is None:
            raise MantaError(f"{name} is gone: somebody deleted it")

    def _get(
        self, path: str, *, missing: tuple[int, ...] = (404,), method: str = "GET", body: Any = None
    ) -> bytes | None:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {})}
        try:
            request = self._api.param_serialize(
                method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._api.call_api(*request, _request_timeout=_TIMEOUT_S)
            response.read()
            if not 200 <= response.status < 300:
                raise ApiException(status=response.status)
            return bytes(response.data)
        except ApiException as error:
            if error.status in missing:
                return None
            if error.status == 403:
                raise ForbiddenError(path) from None
            if error.status == 401:
                raise MantaError(f"{self.address} does not know these credentials: log in again") from None
            raise MantaError(f"{self.address} answered {error.status} to {path}: try again") from None
        except (HTTPError, OSError) as error:
            reason = type(getattr(error, "reason", None) or error).__name__
            raise MantaError(
                f"the API server {self.address} does not answer ({reason}): is the cluster up (`make status`), and "
                "does KUBECONFIG name the one you mean?"
            ) from None
