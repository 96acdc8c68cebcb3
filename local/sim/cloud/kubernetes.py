"""The API server as the simulated AWS uses it: as EKS and its cloud controller do, with full rights."""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from local.cluster import names
from local.cluster.layout import NODE_STATE

_PKI = Path(NODE_STATE) / "pki"
_MANAGER = "manta-sim"


class KubernetesError(Exception):
    """The API server refused, or does not answer (status 0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kubernetes:
    """One connection a request: the API server may restart."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context(cafile=str(_PKI / "cluster-ca.crt"))
        self._tls.load_cert_chain(_PKI / "admin.crt", _PKI / "admin.key")

    def get(self, path: str) -> dict[str, Any]:
        return self.request("GET", path)

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.request("POST", f"{path}?fieldManager={_MANAGER}", body)

    def apply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        query = f"{path}?fieldManager={_MANAGER}&force=true"
        return self.request("PATCH", query, body, "application/apply-patch+yaml")

    def delete(self, path: str) -> None:
        """Gone is as good as deleted."""
        try:
            self.request("DELETE", path)
        except KubernetesError as error:
            if error.status != http.client.NOT_FOUND:
                raise

    def request(
        self, method: str, path: str, body: dict[str, Any] | None = None, kind: str = "application/json"
    ) -> dict[str, Any]:
        connection = http.client.HTTPSConnection("127.0.0.1", names.API_PORT, timeout=10, context=self._tls)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise KubernetesError(0, str(error)) from error
        finally:
            connection.close()
        answer: dict[str, Any] = json.loads(text or b"{}")
        if response.status >= 300:
            raise KubernetesError(response.status, str(answer.get("message", response.reason)))
        return answer
