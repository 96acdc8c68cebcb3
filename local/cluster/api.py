"""The few requests that the cluster's own start makes of the API server."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any, cast

from local.cluster.layout import Layout

_FIELD_MANAGER = "manta-cluster"


class ApiUnavailableError(Exception):
    """No answer; the API server may be starting or gone."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


class Api:
    """The API server through its published port, as administrator. One connection a request: it may restart."""

    def __init__(self, layout: Layout, port: int, *, timeout_s: float = 5.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._tls = ssl.create_default_context(cafile=str(layout.pki / "cluster-ca.crt"))
        self._tls.load_cert_chain(layout.pki / "admin.crt", layout.pki / "admin.key")

    def get(self, path: str) -> Answer:
        return self._request("GET", path)

    def apply(self, path: str, manifest: dict[str, Any]) -> Answer:
        """Server-side apply; JSON is the YAML that it wants."""
        query = f"{path}?fieldManager={_FIELD_MANAGER}&force=true"
        return self._request("PATCH", query, json.dumps(manifest), {"Content-Type": "application/apply-patch+yaml"})

    def _request(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=self._timeout_s, context=self._tls)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, _json(response.read()))
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnavailableError(str(error)) from error
        finally:
            connection.close()


def _json(text: bytes) -> dict[str, Any]:
    try:
        document: Any = json.loads(text)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
