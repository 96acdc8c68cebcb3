"""The API server over HTTP: requests with credentials, retries of what is transient, discovery of kinds.

Safe to use from many threads: connections are pooled, discovery is cached behind a lock and refreshed on a miss, since
a CustomResourceDefinition may have been created a moment ago.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast
from urllib.parse import quote, urlencode

import urllib3
import urllib3.exceptions

from local.engine.kubernetes import errors
from local.engine.kubernetes.identity import GroupVersionKind

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0  # the API server's own limit for a request
RETRY_FOR_S = 8.0
APPLY = "application/apply-patch+yaml"


class Transport(Protocol):
    """How to reach one API server with one identity."""

    server: str
    pool: urllib3.PoolManager

    def headers(self) -> dict[str, str]: ...


@dataclass(frozen=True)
class Resource:
    """Where the API server keeps the objects of a kind."""

    gvk: GroupVersionKind
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        base = f"/apis/{self.gvk.group}/{self.gvk.version}" if self.gvk.group else f"/api/{self.gvk.version}"
        scope = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{base}{scope}/{self.plural}" + (f"/{quote(name)}" if name else "")


def _cause(error: Exception) -> str:
    """What went wrong below HTTP, without the chain of objects that the libraries put around it."""
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    if found:
        return found[1].lower()
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return str(error.args[-1] if error.args else error)


class Client:
    def __init__(self, transport: Transport, cancelled: threading.Event) -> None:
        self._transport = transport
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], dict[str, Resource]] = {}
        # Once a server has been given up, the next of many objects must not each wait for it again.
        self._given_up = False

    @property
    def server(self) -> str:
        return self._transport.server

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        """The parsed answer. Raises ApiError or ClusterUnreachableError.

        Connections that fail before an answer and answers that ask to come again (429, 503) are tried anew for a few
        seconds: every request made here may be repeated without harm.
        """
        url = f"{self._transport.server}{path}" + (f"?{urlencode(query)}" if query else "")
        data = json.dumps(body).encode() if body is not None else None
        deadline = time.monotonic() + (0.0 if self._given_up else RETRY_FOR_S)
        delay = 0.25
        while True:
            try:
                response = self._transport.pool.request(
                    method,
                    url,
                    body=data,
                    headers={"Accept": "application/json", "Content-Type": content_type, **self._transport.headers()},
                    timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
                    retries=False,
                )
            except urllib3.exceptions.HTTPError as error:
                if time.monotonic() + delay > deadline or self._cancelled.wait(delay):
                    self._given_up = True
                    raise errors.ClusterUnreachableError(self._unreachable(error)) from None
            else:
                self._given_up = False
                if response.status < 400:
                    return json.loads(response.data) if response.data else None
                if response.status not in (429, 503) or time.monotonic() + delay > deadline:
                    raise errors.parse(response.status, response.data)
                if self._cancelled.wait(delay):
                    raise errors.parse(response.status, response.data)
            delay = min(delay * 2, 2.0)

    def _unreachable(self, error: Exception) -> str:
        return (
            f"The Kubernetes API server at {self._transport.server} cannot be reached ({_cause(error)}): is the "
            "cluster running, and is KUBECONFIG the right one?"
        )

    def resource(self, gvk: GroupVersionKind, *, refresh: bool = False) -> Resource:
        """Raises NoSuchKindError when the API server, asked anew, does not serve the kind."""
        key = (gvk.group, gvk.version)
        with self._lock:
            known = self._kinds.get(key, {})
        if refresh or gvk.kind not in known:
            known = self._discover(gvk)
            with self._lock:
                self._kinds[key] = known
        if gvk.kind not in known:
            raise errors.NoSuchKindError(
                f'The API server knows no kind "{gvk.kind}" in {gvk.api_version}'
                + (": is the CustomResourceDefinition installed?" if not gvk.is_builtin else ".")
            )
        return known[gvk.kind]

    def _discover(self, gvk: GroupVersionKind) -> dict[str, Resource]:
        path = f"/apis/{gvk.group}/{gvk.version}" if gvk.group else f"/api/{gvk.version}"
        try:
            answer = self.request("GET", path)
        except errors.ApiError as error:
            if error.is_not_found:
                return {}
            raise
        return {
            item["kind"]: Resource(
                GroupVersionKind(gvk.group, gvk.version, item["kind"]), item["name"], item["namespaced"]
            )
            for item in cast(list[dict[str, Any]], answer["resources"])
            if "/" not in item["name"]
        }

    def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        """None when there is no such object."""
        try:
            return self.request("GET", resource.path(namespace, name))
        except errors.ApiError as error:
            if error.is_not_found:
                return None
            raise

    def list(self, gvk: GroupVersionKind, namespace: str, **query: str) -> list[dict[str, Any]]:
        """`query`: labelSelector, fieldSelector. List items lack apiVersion and kind."""
        answer = self.request("GET", self.resource(gvk).path(namespace), query=query)
        return answer["items"]

    def apply(
        self, resource: Resource, body: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        """Server-side apply: creates the object or changes the fields of `manager`."""
        metadata = body["metadata"]
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        path = resource.path(metadata.get("namespace", ""), metadata["name"])
        return self.request("PATCH", path, query=query, body=body, content_type=APPLY)

    def delete(self, resource: Resource, namespace: str, name: str, *, propagation: str) -> bool:
        """Ask for deletion. False when the object is already gone."""
        try:
            self.request("DELETE", resource.path(namespace, name), body={"propagationPolicy": propagation})
        except errors.ApiError as error:
            if error.is_not_found:
                return False
            raise
        return True
